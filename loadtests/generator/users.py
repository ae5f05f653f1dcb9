"""The users of a load test: what each of them does with documents."""

import itertools
import random
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

from gevent.event import Event as Flag
from locust import FastHttpUser, task
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_STOPPING

from loadtests.documents.client import Document, Documents
from loadtests.exchange import RequestFailed
from loadtests.generator.recording import Recorder
from loadtests.generator.transport import LocustTransport
from loadtests.outcome import Outcome
from loadtests.pace import Pace
from loadtests.run.plan import Flow, Plan, hot_id

ANSWER_SECONDS = 30.0
"""How long a user waits for an answer: far beyond every target, so that late ones are measured."""
BODY_BYTES = 256
REWRITES = 0.5
"""Of the writes, how many give a document that the user has already a new value."""
PAGE_LIMIT = 20

_PROCESS = secrets.token_hex(3)
_numbers = itertools.count()


class Journey:
    """What all users of a process share; set before the first of them comes."""

    def __init__(self, plan: Plan, recorder: Recorder) -> None:
        self.plan = plan
        self.recorder = recorder
        # Zipf's law: the second is read half as often as the first, the third a third as often.
        self.popularity = list(itertools.accumulate(1 / (n + 1) for n in range(plan.hot)))
        self.hot = [hot_id(plan.run, number) for number in range(plan.hot)]

    def popular(self) -> str:
        """The id of a document that everybody reads, popular ones more often."""
        return random.choices(self.hot, cum_weights=self.popularity)[0]  # noqa: S311


class DocumentUser(FastHttpUser):
    """One request at each turn of its pace, and one request at a time, over one connection."""

    abstract = True
    journey: ClassVar[Journey]
    network_timeout = ANSWER_SECONDS
    connection_timeout = ANSWER_SECONDS
    concurrency = 1
    insecure = False
    """Locust's default trusts every certificate, which no user does."""

    def on_start(self) -> None:
        """Begin somewhere within the first turn: users that came together part here."""
        plan = self.journey.plan
        self._documents = Documents(LocustTransport(self.client), plan.way)
        self._name = f"{plan.run}-{_PROCESS}{next(_numbers):x}"
        self._count = 0
        self._mine: Document | None = None
        self._pace = Pace(1 / plan.pace)
        self._leaving = Flag()
        self._rest(random.uniform(0, plan.pace))  # noqa: S311
        self._pace.delay(time.monotonic())

    def wait_time(self) -> float:
        """Wait for the next turn here, and tell Locust that there is nothing to wait for."""
        self._rest(self._pace.delay(time.monotonic()))
        return 0.0

    def _rest(self, seconds: float) -> None:
        if self._leaving.wait(seconds):
            raise StopUser

    def stop(self, force: bool = False) -> bool:
        """Leave, but not in the middle of a request.

        Locust kills a user that waits for its turn, and should the turn come at that moment, it
        dies with a write on its way that nobody counts.
        """
        if force:
            return super().stop(force=True)
        self._state = LOCUST_STATE_STOPPING
        self._leaving.set()
        return False

    def write(self) -> Document | None:
        """Write a new document, or one of this user's own again; gives it if acknowledged.

        An id whose last outcome is unknown is left alone: what it has to hold could not be said.
        """
        document = self._next_document()
        self._mine = None
        outcome = Outcome.UNKNOWN  # also for a user who has to leave before the answer
        try:
            self._documents.write(document)
            outcome = Outcome.ACKED
        except RequestFailed as failed:
            outcome = failed.outcome
            return None
        finally:
            self.journey.recorder.wrote(document.id, document.value, outcome)
        self._mine = document
        return document

    def _next_document(self) -> Document:
        if self._mine is not None and random.random() < REWRITES:  # noqa: S311
            return self._mine.model_copy(update={"value": self._mine.value + 1})
        self._count += 1
        document_id = f"{self._name}-{self._count}"
        return Document(id=document_id, value=1, text="x" * (BODY_BYTES - len(document_id) - 32))

    def read_back(self, document: Document) -> None:
        """Read what was just acknowledged, without waiting for the turn that this takes."""
        self._pace.skip()
        with suppress(RequestFailed):
            self._documents.read_back(document)

    def read_popular(self) -> None:
        """Read one of the documents that everybody reads."""
        with suppress(RequestFailed):
            self._documents.read(self.journey.popular())

    def read_page(self) -> None:
        """Read the first page of the list."""
        with suppress(RequestFailed):
            self._documents.page(PAGE_LIMIT)


class MixedUser(DocumentUser):
    """Of its requests 30 % are writes, 30 % read these back, 35 % are popular, 5 % are pages."""

    @task(30)
    def write_and_see(self) -> None:
        written = self.write()
        if written is not None:
            self.read_back(written)

    @task(35)
    def look_at_a_popular_one(self) -> None:
        self.read_popular()

    @task(5)
    def look_at_the_list(self) -> None:
        self.read_page()


class WritingUser(DocumentUser):
    """Writes only."""

    @task
    def write_one(self) -> None:
        self.write()


class ReadingUser(DocumentUser):
    """Reads popular documents only."""

    @task
    def look_at_a_popular_one(self) -> None:
        self.read_popular()


USERS: Mapping[Flow, type[DocumentUser]] = {
    "mixed": MixedUser,
    "write": WritingUser,
    "read": ReadingUser,
}
