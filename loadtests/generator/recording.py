"""Records every request of a worker exactly, and hands it to the master in Locust's reports."""

import time
from collections import Counter
from typing import Any

from loadtests.outcome import Outcome
from loadtests.run.messages import Report, Requests
from loadtests.verdict.samples import Samples

FIELD = "millrace"
"""Of Locust's report to the master: ours, as one string."""
LAST = "millrace-last"
"""A message of a worker: the report that comes after all users are gone."""


class Recorder:
    """What happened since the last report."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._number = 0
        self._samples = Samples()
        self._writes: list[tuple[str, int, Outcome]] = []
        self._errors: Counter[str] = Counter()
        self._closed = False

    def attach(self, environment: Any) -> None:
        """Hear of every request, report with Locust's, and once more after the last user."""
        environment.events.request.add_listener(self.on_request)
        environment.events.user_error.add_listener(self.on_user_error)

        def on_report(client_id: str, data: dict[str, Any]) -> None:
            if not self._closed:
                data[FIELD] = self.report(environment.runner.user_count)

        def on_stop(**_: Any) -> None:
            # Locust's own last report may come after the master has stopped listening; this one
            # is waited for.
            if not self._closed:
                last = self.report(environment.runner.user_count, last=True)
                self._closed = True
                environment.runner.send_message(LAST, {FIELD: last})

        environment.events.report_to_master.add_listener(on_report)
        environment.events.test_stop.add_listener(on_stop)

    def on_request(
        self,
        name: str,
        response_time: float,
        exception: Exception | None = None,
        **_: Any,
    ) -> None:
        """Note one request; its time is the one that Locust took, not rounded."""
        failure = None if exception is None else str(exception) or type(exception).__name__
        self._samples.add(name, time.time(), response_time, failure)

    def on_user_error(self, exception: Exception, **_: Any) -> None:
        """Note that a user itself went wrong."""
        self._errors[f"{type(exception).__name__}: {exception}"] += 1

    def wrote(self, document_id: str, value: int, outcome: Outcome) -> None:
        """Note one write."""
        self._writes.append((document_id, value, outcome))

    def report(self, users: int, last: bool = False) -> str:
        """All since the last report, as a line of JSON; it is forgotten here."""
        report = Report(
            worker=self._worker,
            number=self._number,
            at=time.time(),
            last=last,
            users=users,
            requests=[
                Requests(
                    name=batch.name,
                    at=batch.at.tolist(),
                    milliseconds=batch.milliseconds.tolist(),
                    failures=dict(batch.failures),
                )
                for batch in self._samples.take()
            ],
            writes=self._writes,
            errors=list(self._errors.elements()),
        )
        self._number += 1
        self._writes = []
        self._errors.clear()
        return report.model_dump_json()
