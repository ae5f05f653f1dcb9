"""Runs one operation at a time on a server: begins it, follows it to its end, notes the outcome."""

import getpass
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bootstrap.kube import WAY_OUT, Kube, KubeError
from infra.model import operations as names
from infra.model.servers import Server
from operations import jobs
from operations.jobs import NAMESPACE, Attempt, Seen
from operations.lines import Log
from operations.request import FailedError, RefusedError, Request

Say = Callable[[str], None]

_LOOK_SECONDS: Final = 1.0
_SAY_SECONDS: Final = 10.0
_GONE_SECONDS: Final = 120


class Operations:
    """The Jobs of one cluster."""

    def __init__(self, kube: Kube, say: Say) -> None:
        self._kube = kube
        self._say = say

    def run(self, request: Request) -> None:
        """Begin it and follow it.

        Raises:
            RefusedError: the stack has no template for it, or something else runs on the server.
            FailedError: it failed.
            KubeError: the cluster does not answer.
        """
        template = self._template(request)
        self._make_room(request)
        who = self._who()
        made = jobs.job(request, template, who)
        began = time.monotonic()
        try:
            self._kube.run("create", "-f", "-", stdin=json.dumps(made))
        except KubeError as error:
            running = self.current(request.target.server)
            if "AlreadyExists" in str(error) and running is not None:
                raise jobs.refuse_beside(running, datetime.now(UTC)) from None
            raise
        self._say(f"{request.text}: begun by {who} as Job {NAMESPACE}/{made['metadata']['name']}")
        self.follow(request.target.server, began)

    def follow(self, server: Server, began: float | None = None) -> None:
        """Show what runs on the server until it is over.

        Raises:
            RefusedError: nothing runs there, or ever did.
            FailedError: it failed.
        """
        now = self.current(server)
        if now is None:
            raise RefusedError(f"no operation runs on {server.name}, and none did this week")
        try:
            ended, log = self._watch(now)
        except KeyboardInterrupt:
            self._say(
                f"{now.operation} goes on without you; `make operation` with the same DB "
                f"shows it again, `kubectl -n {NAMESPACE} delete job {now.name}` ends it"
            )
            raise
        seconds = f"{time.monotonic() - began:.0f} s" if began is not None else "see the log"
        outcome = "done" if ended.succeeded else f"failed: {log.failing_sentence}"
        if not ended.noted:  # who looks again, days later, changes nothing
            self._audit(ended, outcome)
        if not ended.succeeded:
            sentence = log.failing_sentence
            raise FailedError(
                f"{ended.operation}: {sentence}" + (f" ({ended.failed})" if ended.failed else "")
            )
        self._say(f"{ended.operation}: done in {seconds}")

    def current(self, server: Server) -> Seen | None:
        """What runs on the server by an operator's hand, or was the last that did."""
        return self._job(names.operation(server))

    def _template(self, request: Request) -> Mapping[str, Any]:
        try:
            return self._kube.json("get", "cronjob", request.template, "-n", NAMESPACE)
        except KubeError as error:
            if "NotFound" not in str(error):
                raise
            raise RefusedError(
                f"the stack has no {request.template}: it is older than this checkout, or its "
                f"backups are off (millrace:backups.enabled); {WAY_OUT}"
            ) from None

    def _make_room(self, request: Request) -> None:
        """Take away what is over under the server's name; refuse beside what is not.

        The nightly backup counts, too: it is on its own schedule and under its own name.
        """
        running = self.current(request.target.server)
        if running is not None and not running.over:
            raise jobs.refuse_beside(running, datetime.now(UTC))
        nightly = names.backup_job(request.target.server, request.target.database)
        for item in self._list("jobs", f"app.kubernetes.io/name={nightly}"):
            scheduled = jobs.seen(item)
            if not scheduled.over:
                raise jobs.refuse_beside(scheduled, datetime.now(UTC))
        if running is not None:
            # By its uid: between the look and the removal another may have taken the name.
            self._remove(running)

    def _remove(self, done: Seen) -> None:
        path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{done.name}"
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": done.uid},
        }
        self._kube.run("delete", "--raw", path, "-f", "-", stdin=json.dumps(options))
        deadline = time.monotonic() + _GONE_SECONDS
        while (now := self._job(done.name)) is not None and now.uid == done.uid:
            if time.monotonic() > deadline:
                raise KubeError(
                    f"the Job {done.name} of before does not go away; remove it by hand"
                )
            time.sleep(_LOOK_SECONDS)

    def _watch(self, job: Seen) -> tuple[Seen, Log]:
        log, shown = Log(), set[str]()
        said_at, said = time.monotonic(), ""
        while True:
            now = self._job(job.name)
            if now is None or now.uid != job.uid:
                raise FailedError(f"{job.operation}: its Job was removed before it was over")
            for attempt in self._attempts(job.name):
                if attempt.started and attempt.name not in shown:
                    if shown:
                        self._say(f"attempt {len(shown) + 1}:")
                    shown.add(attempt.name)
                    self._stream(attempt, log)
                elif not attempt.started:
                    said_at, said = self._patience(attempt, said_at, said)
            if now.over:
                return now, log
            time.sleep(_LOOK_SECONDS)

    def _patience(self, attempt: Attempt, said_at: float, said: str) -> tuple[float, str]:
        """Say what it waits for: when that changes, and every few seconds."""
        text = f"waiting for its pod ({attempt.waiting or attempt.phase})"
        now = time.monotonic()
        if text == said and now - said_at < _SAY_SECONDS:
            return said_at, said
        self._say(text)
        return now, text

    def _stream(self, attempt: Attempt, log: Log) -> None:
        """Its log to its end, live."""
        command = self._kube.command("logs", "-f", "-n", NAMESPACE, attempt.name)
        with subprocess.Popen(  # noqa: S603 - kubectl of this checkout
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
        ) as following:
            assert following.stdout is not None
            quiet = threading.Timer(_SAY_SECONDS, self._say, ("it works; nothing to report yet",))
            quiet.daemon = True
            quiet.start()
            for text in following.stdout:
                quiet.cancel()
                self._say(log.line(text.rstrip("\n")))
            quiet.cancel()

    def _audit(self, job: Seen, outcome: str) -> None:
        line = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "since": job.since,
            "who": job.who,
            "what": job.operation,
            "outcome": outcome,
        }
        note = {"metadata": {"annotations": {jobs.OUTCOME: outcome, jobs.AUDIT: json.dumps(line)}}}
        patch = json.dumps(note)
        self._kube.run("patch", "job", job.name, "-n", NAMESPACE, "--type=merge", "-p", patch)

    def _job(self, name: str) -> Seen | None:
        found = self._kube.run(
            "get", "job", name, "-n", NAMESPACE, "-o", "json", "--ignore-not-found"
        )
        return jobs.seen(json.loads(found)) if found.strip() else None

    def _attempts(self, name: str) -> list[Attempt]:
        items = self._list("pods", f"batch.kubernetes.io/job-name={name}")
        items.sort(key=lambda item: item["metadata"]["creationTimestamp"])
        return [jobs.attempt(item) for item in items]

    def _list(self, kind: str, selector: str) -> list[Any]:
        return self._kube.json("get", kind, "-n", NAMESPACE, "-l", selector)["items"]

    def _who(self) -> str:
        """The person on this machine, and who the cluster takes them for."""
        known = self._kube.json("auth", "whoami")
        account = known["status"]["userInfo"]["username"]
        return f"{getpass.getuser()}@{socket.gethostname()} as {account}"
