"""One load run with Locust, and all that can go wrong on the path of a document while it goes on.

Users may be refused, with a word on when to come again, or lose their connection while what it led
to is gone. None may be told of a success that is lost, and none may fail without a cause.
"""

import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.documents.closing import STORE
from loadtests.observers.api import pods, scrape
from loadtests.run.plan import Settings
from tests.e2e.cluster import (
    away,
    frozen,
    kill_minus_9,
    pods_of,
    replace_restarted,
    wait_for,
    wait_for_restart,
    wait_for_restart_or_end,
    wait_until_settled,
)
from tests.e2e.conftest import Say
from tests.e2e.documents import Writer
from tests.e2e.under_load import UnderLoad

pytestmark = pytest.mark.usefixtures("settled")

# Until it is stopped: 50 requests a second, of which 15 write.
USERS = Settings(users=200, pace=4, seconds=900, rate=100, workers=1)
APPS, DATA = "apps", "data"
INGEST, WRITER, STREAM = "ingest-service", "stream-writer", "redis-stream"
CLAIMED = "writer_entries_claimed_total"
CUT_OFF = "no answer: "
REFUSED = ("503 unavailable", "503 outcome-unknown")
FULL = "503 full"
JUST_BEGUN = ("503 no-keys", "503 unavailable")
"""Of a process that has not seen yet what tokens are signed with, or how full the stream is. One
that was killed gets requests before it says that it is ready: nobody noticed that it was not."""
RESTART_SECONDS = 150.0
"""From a killed pod to a ready one, on a machine without an idle core."""
CLAIM_SECONDS = 90.0
"""WRITER_CLAIM_AFTER_SECONDS is 30, and overdue entries are looked for every 10."""
LARGE = "x" * 1_500
"""400 of these in a request, in the stream twice, reach the mark of its memory within seconds."""


@pytest.fixture
def load(checkout: Checkout, kube: Kube, tmp_path: Path, say: Say) -> UnderLoad:
    victims = ((APPS, INGEST), (APPS, WRITER), (DATA, STREAM), (DATA, STORE))
    replace_restarted(kube, *victims)
    return UnderLoad(checkout, USERS, tmp_path, say)


@pytest.mark.timeout(1500)
def test_every_fault_under_load_loses_no_document_and_no_failure_is_unexplained(
    load: UnderLoad, checkout: Checkout, kube: Kube, api: httpx.Client, prefix: str, say: Say
) -> None:
    with load:
        load.goes_on()
        pods_are_killed_while_one_writer_is_frozen_past_its_claim(load, kube, api)
        load.goes_on()
        the_stream_is_killed_and_then_frozen(load, kube)
        load.goes_on()
        writers_are_scaled_away_in_mid_batch_and_the_last_is_killed(load, kube)
        load.goes_on()
        filler = the_store_is_killed_and_stays_away_until_admission_says_no(
            load, checkout, kube, prefix, say
        )
        load.goes_on()
        load.stop()
        for line in load.account():
            say(line)
        load.check_books()
    filler.check_books(kube)
    unexplained = [failure for failure, fault in load.failures() if fault is None]
    assert unexplained == [], f"{len(unexplained)} failures: {unexplained[:5]}"
    felt = {fault.what for _, fault in load.failures() if fault is not None}
    # A fault that nobody felt was none, or its load was not there.
    assert felt == {fault.what for fault in load.faults if fault.excuses}


def pods_are_killed_while_one_writer_is_frozen_past_its_claim(
    load: UnderLoad, kube: Kube, api: httpx.Client
) -> None:
    """What the frozen writer had in hand is written by the other, and once it is back, it finds
    that so. Of the ingest pods none is left for a moment."""

    other, sleeping = pods_of(kube, APPS, WRITER)

    def claimed() -> float:
        [awake] = [pod for pod in pods(api, APPS) if pod.name == other["metadata"]["name"]]
        return sum(sample.value for sample in scrape(api, awake, (CLAIMED,)))

    before = claimed()
    with load.fault("a writer is frozen"):
        with ExitStack() as killing:
            with frozen(kube, sleeping):
                wait_for("entries to be claimed", lambda: claimed() > before, seconds=CLAIM_SECONDS)
                what = "all ingest pods are killed"
                killing.enter_context(load.fault(what, CUT_OFF, *JUST_BEGUN))
                ingest = pods_of(kube, APPS, INGEST)
                for pod in ingest:
                    kill_minus_9(kube, pod)
            # It goes on before they are back: after a minute of silence the kubelet restarts it.
            back = [
                wait_for_restart_or_end(kube, APPS, pod, seconds=RESTART_SECONDS) for pod in ingest
            ]
            assert any(back), "none of those that were killed came back"
        # An autoscaler that saw them start may have asked for one more, and let it go again.
        wait_until_settled(kube, seconds=RESTART_SECONDS)


def the_stream_is_killed_and_then_frozen(load: UnderLoad, kube: Kube) -> None:
    [stream] = pods_of(kube, DATA, STREAM)
    with load.fault("the stream is killed", *REFUSED, CUT_OFF):
        kill_minus_9(kube, stream)
        wait_for_restart(kube, DATA, stream, seconds=RESTART_SECONDS)
    load.goes_on()
    [stream] = pods_of(kube, DATA, STREAM)
    with load.fault("the stream is frozen", *REFUSED, CUT_OFF):
        with frozen(kube, stream):
            time.sleep(8)  # longer than anybody waits for it
        wait_until_settled(kube, seconds=RESTART_SECONDS)


def writers_are_scaled_away_in_mid_batch_and_the_last_is_killed(
    load: UnderLoad, kube: Kube
) -> None:
    before = len(pods_of(kube, APPS, WRITER))
    scale = ("scale", f"deployment/{WRITER}", "-n", APPS)
    with load.fault("writers are scaled down and killed"):
        try:
            kube.run(*scale, "--replicas=1")
            wait_until_settled(kube, seconds=RESTART_SECONDS)
            [last] = pods_of(kube, APPS, WRITER)
            kill_minus_9(kube, last)
            wait_for_restart(kube, APPS, last, seconds=RESTART_SECONDS)
        finally:
            kube.run(*scale, f"--replicas={before}")
        wait_until_settled(kube, seconds=RESTART_SECONDS)


def the_store_is_killed_and_stays_away_until_admission_says_no(
    load: UnderLoad, checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> Writer:
    [store] = pods_of(kube, DATA, STORE)
    with load.fault("the store is away", *REFUSED, FULL):
        kill_minus_9(kube, store)
        with away(kube, DATA, STORE):
            load.goes_on()
            say("the store is away, and writes go on")
            with Writer(checkout, f"{prefix}-fill", size=400, text=LARGE) as filler:
                wait_for("admission to say no", lambda: filler.refused > 3, seconds=150)
            say(f"admission says no after {filler.writes} documents more")
        back = time.monotonic()
        wait_for_room(checkout, prefix)
        say(f"documents are taken again {time.monotonic() - back:.1f} s after the store is ready")
    return filler


def wait_for_room(checkout: Checkout, prefix: str) -> None:
    with Writer(checkout, f"{prefix}-room", size=1) as asking:
        wait_for("documents to be taken again", lambda: asking.writes > 0, seconds=150)
