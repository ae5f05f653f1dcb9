"""Things are broken on purpose: each is told by the alerts that are meant for it and by no other,
and they end when it is over. Seen on a clock that runs five times as fast (`time_lapse`)."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.over_httpx import http_client
from loadtests.telemetry.client import ENTRY, PATH
from tests.e2e import breaking, time_lapse
from tests.e2e.cluster import away, wait_for
from tests.e2e.conftest import Say
from tests.e2e.time_lapse import Watch

pytestmark = [pytest.mark.usefixtures("settled"), pytest.mark.timeout(1200)]

RELAY, STREAM_WRITER, CRASHING, SHOWN = (
    *("outbox-relay-rest", "stream-writer", "event-worker", "auth-service"),
)
TELEMETRY: Final = "telemetry-database"
FIRES_SECONDS: Final = 300
ENDS_SECONDS: Final = 600
"""A budget's shorter window of half an hour is six minutes here, and holds its failures that long
when nobody asks any more."""


@pytest.fixture(scope="module")
def watch(kube: Kube) -> Iterator[Watch]:
    with time_lapse.started(kube) as watch:
        yield watch


def quiet(watch: Watch) -> bool:
    """Nobody is told of anything but that much was lost within hours, which stays true."""
    return not {one for one in watch.told() if one.window in ("", "1h")}


def test_nothing_is_told_of_a_platform_that_is_well(watch: Watch, say: Say) -> None:
    wait_for("every target to answer", lambda: not watch.down(), seconds=180)
    wait_for("pages of the tests before to end", lambda: quiet(watch), seconds=180)
    say(f"nobody is paged; tickets: {', '.join(sorted(watch.tickets())) or 'none'}")


def test_kafka_is_one_page_although_much_depends_on_it(
    checkout: Checkout, kube: Kube, watch: Watch, prefix: str, say: Say
) -> None:
    point = {"device_id": prefix, "metric": "level", "ts": "2026-11-22T20:00:00Z", "value": 1}
    with (
        http_client(checkout, ENTRY) as ingest,
        breaking.asked(lambda: ingest.post(PATH, json=point)),
        away(kube, "data", "kafka"),
    ):
        _until(watch, {"ServerDown(kafka)"}, say)
        refused = "AvailabilityBudgetBurns(ingest-service)"
        wait_for(
            "what depends on it to be seen, and silenced",
            lambda: [one for one in watch.fire() if str(one) == refused and one.silenced],
            seconds=FIRES_SECONDS,
        )
        silenced = {str(one) for one in watch.fire() if one.silenced and one.severity != "none"}
        assert watch.pages() == {"ServerDown(kafka)"}
        say(f"silenced by it: {', '.join(sorted(silenced))}")
    _until_quiet(watch, say)


def test_each_fault_is_told_and_nothing_else(
    checkout: Checkout, kube: Kube, watch: Watch, http: httpx.Client, prefix: str, say: Say
) -> None:
    """They have nothing to do with each other: all of them are there at once."""
    faults = (  # those first that are told last
        (breaking.certificate_about_to_end(kube, SHOWN), "CertificateEnds(ca)"),
        (breaking.without_pods(kube, RELAY), f"ServiceDown({RELAY})"),
        (breaking.without_pods(kube, STREAM_WRITER), f"ServiceDown({STREAM_WRITER})"),
        (breaking.full_stream(checkout, prefix), "DocumentsRefused(ingest-service)"),
        (breaking.stopped_copy(kube, TELEMETRY), f"ReplicationStopped({TELEMETRY})"),
        (breaking.locked_table(kube, http), "AvailabilityBudgetBurns(rest-service)"),
    )
    wanted = {page for _, page in faults}
    with ExitStack() as broken:
        for fault, page in faults:
            broken.enter_context(fault)
            say(f"broken: {page}")
        _until(watch, wanted, say)
        tickets = {"HighErrorRate(rest-service)", "HighLatency(rest-service)"}
        wait_for("the tickets", lambda: tickets <= watch.tickets(), seconds=FIRES_SECONDS)
        # When the others are told: it is for a minute or two alone, as the kubelet waits twice as
        # long before each restart.
        broken.enter_context(breaking.crash_loop(kube, CRASHING))
        wanted |= {f"PodRestarts({CRASHING})"}
        _until(watch, wanted, say)
        assert watch.pages() == wanted
    _until_quiet(watch, say)
    say("all is well again, and nobody is paged")


def _until_quiet(watch: Watch, say: Say) -> None:
    """Until each page has ended."""
    left = watch.pages()

    def none_of_them() -> bool:
        pages = watch.pages()
        if left - pages:
            say(f"ended: {', '.join(sorted(left - pages))}")
            left.clear()
            left.update(pages)
        return quiet(watch)

    wait_for("the last page to end", none_of_them, seconds=ENDS_SECONDS)


def _until(watch: Watch, wanted: set[str], say: Say) -> None:
    """Until these are told, and never any other."""
    seen: set[str] = set()

    def all_of_them() -> bool:
        pages = watch.pages()
        if pages - seen:
            say(f"paged: {', '.join(sorted(pages - seen))}")
        seen.update(pages)
        assert not pages - wanted, f"not meant: {', '.join(sorted(pages - wanted))}"
        return wanted <= pages

    wait_for(f"{', '.join(sorted(wanted))} to be told", all_of_them, seconds=FIRES_SECONDS)
