"""Backups of servers that are written to all the while: restored, and back at a moment.

Both engines at once, as each has servers and operations of its own.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from operations import request, table
from operations.jobs import NAMESPACE
from tests.e2e.cluster import wait_for
from tests.e2e.conftest import Say
from tests.e2e.stores import KEPT, MySQL, Postgres, Store, Writer, numbers

DATABASE = "restdb"


@pytest.fixture(scope="module", autouse=True)
def no_night(kube: Kube) -> Iterator[None]:
    """None begins by its schedule, between 1:00 and 5:00: an operation is refused beside it."""
    scheduled = [one for one in kube.items("cronjobs", NAMESPACE) if not one["spec"].get("suspend")]
    names = [one["metadata"]["name"] for one in scheduled]

    def suspend(value: str) -> None:
        for name in names:
            said = f'{{"spec": {{"suspend": {value}}}}}'
            kube.run("patch", "cronjob", name, "-n", NAMESPACE, "-p", said)

    def none_runs() -> bool:
        jobs = kube.items("cronjobs", NAMESPACE)
        return not any(one.get("status", {}).get("active") for one in jobs)

    try:
        suspend("true")
        wait_for("backups that the schedule began to end", none_runs, seconds=300)
        yield
    finally:
        suspend("false")


def make(checkout: Checkout, *arguments: str, seconds: float = 600) -> tuple[int, str]:
    """Exit code and output of ``make ARGUMENTS``."""
    done = subprocess.run(
        ["make", "-s", *arguments],
        cwd=checkout.root, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def timed(checkout: Checkout, say: Say, *arguments: str) -> None:
    """``make ARGUMENTS``, which has to go well."""
    began = time.monotonic()
    code, said = make(checkout, *arguments)
    say(f"make {' '.join(arguments)}: {time.monotonic() - began:.1f} s, exit code {code}")
    assert code == 0, said


def both(kube: Kube, do: Callable[[Store, Writer], None]) -> None:
    """On each engine, at the same time; what went wrong on either is told."""

    def on(store: Store) -> BaseException | None:
        try:
            with Writer(store).running() as writer:
                do(store, writer)
        except Exception as error:
            error.add_note(f"on {store.database}")
            return error
        return None

    stores: tuple[Store, ...] = (Postgres(kube), MySQL(kube))
    with ThreadPoolExecutor(len(stores)) as threads:
        wrong = [error for error in threads.map(on, stores) if error is not None]
    if wrong:
        raise BaseExceptionGroup("a database was not as it should be", wrong)


def backed_up(kube: Kube, database: str) -> list[str]:
    """Names of the proven backups, newest first."""
    rows = table.backups(kube, request.target(database))
    proven = (row for row in rows if row["proven"])
    return [str(row["backup"]) for row in sorted(proven, key=lambda row: row["age_seconds"])]


@pytest.mark.timeout(600)
def test_a_dropped_table_comes_back_as_it_was(
    checkout: Checkout, kube: Kube, say: Say, settled: None
) -> None:
    def lost_and_restored(store: Store, writer: Writer) -> None:
        name, checksum = store.database, store.checksum()
        assert checksum
        before = max(writer.acknowledged)
        timed(checkout, say, "backup", f"DB={name}")
        backup = backed_up(kube, name)[0]
        store.sql(f"DROP TABLE {KEPT}")
        timed(checkout, say, "restore", f"DB={name}", f"BACKUP={backup}", f"CONFIRM={name}")
        assert store.checksum() == checksum
        wrote = {number for number in set(writer.acknowledged) if number <= before}
        there = set(numbers(store))
        assert wrote <= there, "what was acknowledged before the backup began is in it"
        say(f"{name}: {KEPT} is as it was, and {len(wrote)} of {len(wrote)} numbers are there")

    both(kube, lost_and_restored)


@pytest.mark.timeout(600)
def test_between_two_writes_is_a_moment_that_can_be_gone_back_to(
    checkout: Checkout, kube: Kube, say: Say, settled: None
) -> None:
    """At once: that the archive reaches the moment is waited for."""

    def back(store: Store, writer: Writer) -> None:
        name = store.database
        if not backed_up(kube, name):
            timed(checkout, say, "backup", f"DB={name}")
        writer.wait_for_more(5)
        last, moment = writer.moment_between()
        expected = {number for number in set(writer.acknowledged) if number <= last}
        writer.wait_for_more(5)
        known = max(writer.acknowledged)
        timed(checkout, say, "pitr", f"DB={name}", f"TO={moment}", f"CONFIRM={name}")
        there = {number for number in numbers(store) if number <= known}
        assert there == expected
        say(f"{name}: at {moment} there were 1 to {last}, and of {last + 1} to {known} none")

    both(kube, back)


def test_a_second_operator_is_told_who_works_on_the_server(checkout: Checkout, kube: Kube) -> None:
    first = subprocess.Popen(
        ["make", "-s", "restore-drill", f"DB={DATABASE}"],
        cwd=checkout.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert first.stdout is not None
    assert "begun by" in first.stdout.readline()
    code, said = make(checkout, "backup", "DB=workerdb")
    rest, _ = first.communicate(timeout=600)
    assert code != 0
    flat = " ".join(said.split())
    assert "restore-drill of restdb has been running" in flat
    assert "begun by" in flat
    assert first.returncode == 0, rest


@pytest.mark.parametrize("confirm", [(), ("CONFIRM=yes",), ("CONFIRM=workerdb",)])
def test_a_restore_that_is_not_confirmed_makes_no_job(
    checkout: Checkout, kube: Kube, confirm: tuple[str, ...]
) -> None:
    before = {job["metadata"]["uid"] for job in kube.items("jobs", "data")}
    code, said = make(checkout, "restore", f"DB={DATABASE}", "BACKUP=some", *confirm)
    assert code != 0
    assert "nothing was done" in " ".join(said.split())
    assert {job["metadata"]["uid"] for job in kube.items("jobs", "data")} == before
