"""Locust's processes, from the first user to the last report: nothing they did goes uncounted."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from loadtests.outcome import Outcome
from loadtests.run.intake import Intake
from loadtests.run.plan import Plan, hot_id
from loadtests.run.running import Generator
from loadtests.values import ValueLedger
from tests.integration.loadtests.answering import CountingServer
from tests.integration.loadtests.document_server import DocumentServer
from tests.integration.loadtests.point_server import PointServer

HOT = 20
ENDS_WITHIN = 150.0
WITHOUT_END = 600
"""Seconds, for load that ends when enough was seen of it: in a few seconds a busy machine may make
next to none."""


@pytest.fixture
def server() -> Iterator[DocumentServer]:
    with DocumentServer() as server:
        yield server


def plan(server: CountingServer, **more: object) -> Plan:
    """Forty users in two processes, five requests a second each."""
    run = "load-0123abcd"
    if isinstance(server, DocumentServer):
        for number in range(HOT):
            document_id = hot_id(run, number)
            server.documents[document_id] = {"id": document_id, "value": 1, "text": ""}
    given = {"users": 40, "rate": 40, "pace": 0.2, "seconds": 3, "hot": HOT, **more}
    return Plan.model_validate({"run": run, "host": server.url, **given})


def make_load(
    chosen: Plan, folder: Path, meanwhile: Callable[[Generator, Intake], None] | None = None
) -> Intake:
    intake = Intake(chosen, ValueLedger())
    with Generator(chosen, intake.take, folder / "log") as generator:
        if meanwhile is not None:
            meanwhile(generator, intake)
        assert generator.ended(ENDS_WITHIN), "it never ended"
    assert generator.trouble is None
    return intake


def wait_for_requests(intake: Intake, count: int) -> None:
    wait_until(lambda: len(intake.samples) >= count, intake)


def wait_until(seen: Callable[[], bool], intake: Intake) -> None:
    """Patiently: the processes that make the load have to start first."""
    until = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < until, f"not within {len(intake.samples)} requests"
        time.sleep(0.1)


def stop_at_the_first_failure(generator: Generator, intake: Intake) -> None:
    wait_until(lambda: intake.failures > 0, intake)
    generator.stop()


def counted(intake: Intake) -> dict[str, int]:
    return {one.name: one.requests for one in intake.samples.summary()}


def everything_is_accounted_for(intake: Intake, server: DocumentServer) -> None:
    assert intake.complaints() == []
    assert counted(intake) == dict(server.asked)
    ours = {key: one["value"] for key, one in server.documents.items() if "-hot-" not in key}
    accounts = intake.ledger.accounts
    assert {key: account.acknowledged for key, account in accounts.items()} == ours
    assert intake.ledger.count(Outcome.UNKNOWN) == intake.ledger.count(Outcome.REFUSED) == 0


@pytest.mark.parametrize("shape", ["steady", "spike"])
def test_every_request_that_the_server_was_asked_is_counted_up_to_the_last(
    server: DocumentServer, tmp_path: Path, shape: str
) -> None:
    intake = make_load(plan(server, shape=shape, seconds=20), tmp_path)
    everything_is_accounted_for(intake, server)
    assert intake.failures == 0
    assert all(count > 0 for count in counted(intake).values())
    assert any(account.acknowledged > 1 for account in intake.ledger.accounts.values())


def test_users_that_are_told_to_leave_early_leave_nothing_uncounted(
    server: DocumentServer, tmp_path: Path
) -> None:
    def stop_soon(generator: Generator, intake: Intake) -> None:
        wait_for_requests(intake, 200)
        generator.stop()

    intake = make_load(plan(server, seconds=WITHOUT_END), tmp_path, stop_soon)
    everything_is_accounted_for(intake, server)
    assert [event.what for event in intake.events][-2:] == ["stopping", "stopped"]


def test_a_server_that_forgets_what_it_acknowledged_is_caught_by_the_read_back(
    tmp_path: Path,
) -> None:
    with DocumentServer(forgetful=True) as server:
        chosen = plan(server, seconds=WITHOUT_END)
        intake = make_load(chosen, tmp_path, stop_at_the_first_failure)
    (read,) = [one for one in intake.samples.summary() if one.name == "GET /api/data/{id}"]
    stale = "stale read: an older value than the one just acknowledged"
    assert read.reasons.keys() == {stale}
    assert read.failures == read.reasons[stale] > 0


def test_users_that_are_devices_send_what_the_ledger_says_and_read_it(tmp_path: Path) -> None:
    def stop_soon(generator: Generator, intake: Intake) -> None:
        # A few come with each request: by then every kind of request was made.
        wait_until(lambda: len(intake.ledger.accounts) > 2000, intake)
        generator.stop()

    with PointServer() as server:
        chosen = plan(server, target="telemetry", seconds=WITHOUT_END)
        intake = make_load(chosen, tmp_path, stop_soon)
    assert intake.complaints() == []
    assert counted(intake) == dict(server.asked)
    assert (intake.failures, intake.ledger.count(Outcome.UNKNOWN)) == (0, 0)
    assert len(server.held) > 1000
    assert intake.ledger.check(server.held.items()).balanced
    del server.points[next(iter(server.points))]
    assert intake.ledger.check(server.held.items()).missing == 1


def test_a_server_that_gives_back_what_was_never_sent_is_caught_by_the_reader(
    tmp_path: Path,
) -> None:
    with PointServer(inventive=True) as server:
        chosen = plan(server, target="telemetry", seconds=WITHOUT_END)
        intake = make_load(chosen, tmp_path, stop_at_the_first_failure)
    (read,) = [one for one in intake.samples.summary() if one.name == "GET /api/v1/telemetry"]
    assert read.failures == read.reasons["a point that was never sent"] > 0


def test_a_worker_that_is_killed_is_missed(server: DocumentServer, tmp_path: Path) -> None:
    def kill_one(generator: Generator, intake: Intake) -> None:
        wait_for_requests(intake, 100)
        workers = [
            process
            for process in psutil.Process().children(recursive=True)
            if process.cmdline()[-2:] == ["loadtests.generator", "worker"]
        ]
        workers[0].send_signal(signal.SIGKILL)
        generator.stop()

    intake = make_load(plan(server, seconds=WITHOUT_END), tmp_path, kill_one)
    assert "1 of 2 load generators never reported the end" in intake.complaints()


def test_who_starts_it_and_vanishes_leaves_no_process_behind(
    server: DocumentServer, tmp_path: Path
) -> None:
    """The end of the master's input is all that it gets to know of that."""
    left: list[psutil.Process] = []

    def look(generator: Generator, intake: Intake) -> None:
        wait_for_requests(intake, 50)
        left.extend(psutil.Process().children(recursive=True))
        generator.stop()

    make_load(plan(server, seconds=WITHOUT_END), tmp_path, look)
    _, alive = psutil.wait_procs(left, timeout=60)
    assert len(left) >= 3
    assert not [one for one in alive if "loadtests.generator" in one.cmdline()]
