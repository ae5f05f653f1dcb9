"""kill -9 during a stream of writes: nothing lost, nothing twice, nothing out of order.

The kill is a real SIGKILL of the container's first process, sent by the node's containerd.
"""

import time

import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import arrivals, traffic
from loadtests.outcome import Outcome
from loadtests.percentiles import percentile
from tests.e2e.cluster import (
    kill_minus_9,
    pods_of,
    replace_restarted,
    wait_for,
    wait_for_restart,
)
from tests.e2e.conftest import Say
from tests.e2e.streams import (
    arrived_in_order,
    background,
    longest_silence,
    unsent_events,
)

WRITES = 5000
PER_SECOND = 25  # slow enough that writes go on while each victim is away, a minute each
# At so many answered writes these pods of a workload (by age) fall. The relays one after the
# other, so that each has to take over the other's lanes; the workers together, so that nobody
# is left. Each victim is back (ready) before the next falls: every number belongs to one fault.
KILLS = (
    (250, "apps", "outbox-relay-rest", slice(0, 1)),
    (600, "apps", "outbox-relay-rest", slice(1, 2)),
    (1000, "apps", "event-worker", slice(None)),
    (1500, "data", "kafka", slice(None)),
)
RESTART_SECONDS = 150.0
"""From a killed pod to a ready one, its volume attached again, without an idle core."""
DRAIN_SECONDS = 180.0

pytestmark = pytest.mark.usefixtures("settled")


@pytest.mark.timeout(900)
def test_kill_9_of_relay_worker_and_kafka_during_5000_writes_loses_and_reorders_nothing(
    checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> None:
    replace_restarted(kube, *((namespace, workload) for _, namespace, workload, _ in KILLS))
    after = arrivals.last_seq(kube)
    stream = traffic.Stream(
        prefix, resources=WRITES // 5, updates=3, concurrency=16, per_second=PER_SECOND
    )
    assert stream.writes == WRITES
    killed: list[tuple[str, float, float]] = []
    with background(checkout, stream) as running:
        for answered, namespace, workload, which in KILLS:
            running.wait_for_answers(answered, seconds=120)
            victims = pods_of(kube, namespace, workload)[which]
            assert victims, f"{workload} has no such pod"
            names = ", ".join(victim["metadata"]["name"] for victim in victims)
            at = min(kill_minus_9(kube, victim) for victim in victims)
            say(f"kill -9 of {names} at {running.answered} answered writes")
            assert running.answered < WRITES, "the stream was over before the kill"
            back = max(
                wait_for_restart(kube, namespace, victim, seconds=RESTART_SECONDS)
                for victim in victims
            )
            killed.append((names, at, back))
            say(f"back and ready after {back - at:.1f} s")
        say(f"waiting for the stream's end, {running.answered} of {WRITES} answered")
        running.hurry()  # the pace was for the faults, and they are over
    ended = time.time()
    counts = running.ledger.counts()
    say(f"{counts[Outcome.ACKED]} writes acknowledged in {running.seconds:.0f} s")
    # None of the three is on the way of a request: no write may even be in doubt.
    assert counts == {Outcome.ACKED: WRITES, Outcome.REFUSED: 0, Outcome.UNKNOWN: 0}, [
        (write.kind, write.answer) for write in running.ledger.writes
        if write.outcome is not Outcome.ACKED
    ][:5]  # fmt: skip
    verdict, rows = arrived_in_order(
        kube, running.ledger, prefix, after, seconds=DRAIN_SECONDS, say=say
    )
    assert verdict.arrived == WRITES
    wait_for("the outbox to be drained", lambda: unsent_events(kube) == 0, seconds=120)
    last = max(row.processed_at for row in rows)
    for (names, at, back), until in zip(
        killed, [*(kill[1] for kill in killed[1:]), last], strict=True
    ):
        say(
            f"kill -9 of {names}: ready after {back - at:.1f} s, "
            f"longest time without a processed event {longest_silence(rows, at, until):.1f} s"
        )
    say(
        f"all {WRITES} events processed once and in order, the last {max(0.0, last - ended):.1f} s"
        f" after the last answer; POST to processed p50 {percentile(verdict.latencies, 0.5):.2f} s,"
        f" p95 {percentile(verdict.latencies, 0.95):.2f} s (faults included)"
    )


@pytest.mark.timeout(480)
def test_kill_9_of_postgres_loses_no_acknowledged_write_and_shows_no_refused_one(
    checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> None:
    """Here outcomes may be unknown: the answer of a commit can get lost with the server."""
    replace_restarted(kube, ("data", "postgres"))
    after = arrivals.last_seq(kube)
    stream = traffic.Stream(prefix, resources=400, updates=3, concurrency=8, per_second=100)
    with background(checkout, stream) as running:
        running.wait_for_answers(200, seconds=60)
        victim = pods_of(kube, "data", "postgres")[0]
        at = kill_minus_9(kube, victim)
        back = wait_for_restart(kube, "data", victim, seconds=RESTART_SECONDS)
        say(f"kill -9 of postgres: ready after {back - at:.1f} s")
    counts = {outcome.value: number for outcome, number in running.ledger.counts().items()}
    say(f"outcomes of the writes: {counts}")
    assert counts["acked"] >= 200
    verdict, _ = arrived_in_order(
        kube, running.ledger, prefix, after, seconds=DRAIN_SECONDS, say=say
    )
    say(f"{verdict.arrived} events, {len(verdict.arrived_unacked)} of writes in doubt")
