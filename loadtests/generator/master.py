"""Leads the workers through the shape, and hands on what they report, a line each on stdout."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

import gevent
import gevent.os
from gevent.event import Event as Flag
from locust import LoadTestShape, runners
from locust.env import Environment

from loadtests.generator.paced import ANSWER_SECONDS
from loadtests.generator.recording import FIELD, LAST
from loadtests.generator.users import users_of
from loadtests.run import messages as orders
from loadtests.run.messages import Event
from loadtests.run.plan import MASTER_VARIABLE, Plan
from loadtests.run.shapes import stage_at

CONNECT_SECONDS = 120.0
SILENT_SECONDS = 10
"""After so many a worker that says nothing is taken for gone. Locust's own three are fewer than a
starved machine may keep a process waiting, and when all are taken for gone it ends the run."""
LAST_REPORT_SECONDS = 120.0
"""Far beyond what users wait for an answer: a starved machine stretches every timeout."""


class PlannedShape(LoadTestShape):
    """The shape of the plan, as Locust asks for it once a second."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._stages = plan.stages
        self._wanted = 0

    def tick(self) -> tuple[int, float] | None:
        """How many users there should be now, and how fast they come or go; None at the end."""
        stage = stage_at(self._stages, self.get_run_time())
        if stage is None:
            return None
        if stage.users != self._wanted:
            self._wanted = stage.users
            tell("wanted", stage.users)
        return stage.users, stage.rate


def tell(what: Literal["wanted", "reached", "stopping", "stopped"], users: int) -> None:
    """Put out a moment of the run."""
    _put(Event(what=what, at=time.time(), users=users).model_dump_json())


def _put(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class _Master:
    """Locust's master, with what it hears put out."""

    def __init__(self, plan: Plan, host: str, port: int) -> None:
        runners.HEARTBEAT_LIVENESS = SILENT_SECONDS  # it beats once a second
        environment: Any = Environment(
            user_classes=[users_of(plan)],
            shape_class=PlannedShape(plan),
            host=plan.host,
            stop_timeout=ANSWER_SECONDS + 1,  # who waits for an answer gets it, late as it may be
        )
        self.runner: Any = environment.create_master_runner(host, port)
        self.all_ended = Flag()
        self.workers = plan.workers
        self.ended: set[str] = set()
        environment.events.worker_report.add_listener(self._on_report)
        environment.events.spawning_complete.add_listener(self._on_all_there)
        environment.events.test_stopping.add_listener(self._on_stopping)
        self.runner.register_message(LAST, self._on_last)

    def _on_report(self, client_id: str, data: dict[str, Any]) -> None:
        if FIELD in data:
            _put(data[FIELD])

    def _on_all_there(self, user_count: int) -> None:
        tell("reached", user_count)

    def _on_stopping(self, **_: Any) -> None:
        tell("stopping", self.runner.user_count)

    def _on_last(self, msg: Any, **_: Any) -> None:
        _put(msg.data[FIELD])
        self.ended.add(msg.node_id)
        if len(self.ended) == self.workers:
            self.all_ended.set()


def run(plan: Plan, address: str | None) -> None:
    """Run the plan from the first user to the last report.

    Without an address the workers are processes of this machine, started and ended here. With one
    they are started by whoever gave it. Its standard input says when to begin (``orders.BEGIN``)
    and ends when the run should, or when whoever holds it is gone; so does SIGTERM.
    """
    host, _, port = (address or "127.0.0.1:0").rpartition(":")
    master, told = _Master(plan, host, int(port)), _Orders()
    runner = master.runner
    workers = [] if address else _start_workers(plan, runner.server.port)
    try:
        gevent.wait([told.begin, told.over], count=1)
        with gevent.Timeout(CONNECT_SECONDS, RuntimeError("the workers did not connect")):
            while runner.worker_count < plan.workers and not told.over.is_set():
                gevent.sleep(0.1)
        if not told.over.is_set():
            # What users show goes to every worker ahead of the users themselves.
            told.hand_on = lambda shown: runner.send_message(orders.TOKEN, shown)
            if told.shown is not None:
                told.hand_on(told.shown)
            runner.start_shape()
            gevent.wait([runner.shape_greenlet, told.over], count=1)
            # With the shape's end Locust has stopped its users already; otherwise they stop here.
            runner.stop()
            _wait_for_last(master, lambda: told.lost + sum(p.poll() is not None for p in workers))
        tell("stopped", 0)
    finally:
        if address:
            runner.quit()  # theirs to hear: nobody here could end them
        for process in workers:
            process.terminate()
        for process in workers:
            process.wait()


def _wait_for_last(master: _Master, dead: Callable[[], int]) -> None:
    """For every worker that still lives.

    Locust takes one that it has not heard of for a while for gone; only who started it is sure.
    """
    until = time.monotonic() + LAST_REPORT_SECONDS
    while time.monotonic() < until and not master.all_ended.wait(0.2):
        if (gone := dead()) and gone + len(master.ended) >= master.workers:
            return


class _Orders:
    """What standard input says, a word a line, and SIGTERM."""

    def __init__(self) -> None:
        self.begin, self.over = Flag(), Flag()
        self.lost = 0
        self.shown: str | None = None
        self.hand_on: Callable[[str], object] = lambda _shown: None
        gevent.signal_handler(signal.SIGTERM, self.over.set)
        gevent.spawn(self._read)

    def _read(self) -> None:
        gevent.os.make_nonblocking(0)
        rest = b""
        while more := gevent.os.nb_read(0, 4096):
            *words, rest = (rest + more).split(b"\n")
            for word in words:
                self._take(word.decode())
        self.over.set()

    def _take(self, word: str) -> None:
        kind, _, shown = word.partition(" ")
        if kind == orders.TOKEN:
            self.shown = shown
            self.hand_on(shown)
            return
        match word:
            case orders.BEGIN:
                self.begin.set()
            case orders.END:
                self.over.set()
            case orders.LOST:
                self.lost += 1
            case _:
                logging.warning("there is no order %r", word)


def _start_workers(plan: Plan, port: int) -> list[subprocess.Popen[bytes]]:
    environment = {**os.environ, MASTER_VARIABLE: f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "loadtests.generator", "worker"]
    return [
        subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)  # noqa: S603
        for _ in range(plan.workers)
    ]
