"""kill -9 during a stream of writes: nothing lost, nothing twice, nothing out of order, up to the
end of the task of each write's event.

The kill is a real SIGKILL of the container's first process, sent by the node's containerd.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import arrivals, traffic
from loadtests.ledger import Ledger, Write
from loadtests.outcome import Outcome
from loadtests.percentiles import percentile
from tests.e2e.cluster import kill_minus_9, pods_of, replace_restarted, wait_for_restart
from tests.e2e.conftest import Say
from tests.e2e.streams import (
    Background,
    arrived_in_order,
    background,
    longest_silence,
    wait_until_sent,
)

APPS, DATA = "apps", "data"
FIRST, SECOND, ALL = slice(0, 1), slice(1, 2), slice(None)
"""Pods of a workload, by age."""


class Victim(NamedTuple):
    namespace: str
    workload: str
    which: slice


class Killed(NamedTuple):
    """When, and when the last of them was ready again: epoch seconds."""

    names: str
    at: float
    back: float


WRITES = 5000
PER_SECOND = 40  # slow enough that writes go on while each victim is away, a minute each
BETWEEN = 100
"""Acknowledged writes after victims are ready again and before the next fall, so that every number
belongs to one fall."""
# Of relays and grpc-service one pod after the other, so that each has to take over what the other
# had in hand; the workers together, so that nobody is left.
BESIDE_REQUESTS = (
    (
        Victim(APPS, "outbox-relay-rest", FIRST),
        Victim(APPS, "outbox-relay-grpc", FIRST),
        Victim(APPS, "grpc-service", FIRST),
    ),
    (
        Victim(APPS, "outbox-relay-rest", SECOND),
        Victim(APPS, "outbox-relay-grpc", SECOND),
        Victim(APPS, "grpc-service", SECOND),
        Victim(DATA, "redis-cache", ALL),
    ),
    (Victim(APPS, "event-worker", ALL),),
    (Victim(DATA, "kafka", ALL),),
)
"""What no request needs: while they are away no write may even be in doubt."""
BEHIND_REQUESTS = (
    (Victim(APPS, "rest-service", ALL),),
    (Victim(DATA, "postgres", ALL),),
)
"""The answer of a commit can get lost with these."""
RESTART_SECONDS = 150.0
"""From a killed pod to a ready one, its volume attached again, without an idle core."""
DRAIN_SECONDS = 180.0

pytestmark = pytest.mark.usefixtures("settled")


@pytest.mark.timeout(1200)
def test_kill_9_of_every_part_during_5000_writes_loses_and_reorders_nothing(
    checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> None:
    every = [victim for fall in (*BESIDE_REQUESTS, *BEHIND_REQUESTS) for victim in fall]
    replace_restarted(kube, *dict.fromkeys((victim[0], victim[1]) for victim in every))
    after = arrivals.last_seq(kube)
    # More than is needed: what is refused while nobody answers uses its resource up.
    stream = traffic.Stream(
        prefix, resources=2 * WRITES, updates=3, concurrency=16, per_second=PER_SECOND
    )
    with background(checkout, stream) as running:
        killed = [kill(kube, running, fall, say) for fall in BESIDE_REQUESTS]
        assert not_acknowledged(running.ledger) == []
        killed += [kill(kube, running, fall, say) for fall in BEHIND_REQUESTS]
        go_on(running)
        say(f"waiting for {WRITES} acknowledged writes, there are {running.acknowledged}")
        running.hurry()  # the pace was for the faults, and they are over
        running.wait_for_acknowledged(WRITES, seconds=240)
        running.stop()
    ended = time.time()
    counts = {outcome.value: number for outcome, number in running.ledger.counts().items()}
    say(f"outcomes of the writes in {running.seconds:.0f} s: {counts}")
    verdict, rows = arrived_in_order(
        kube, running.ledger, prefix, after, seconds=DRAIN_SECONDS, say=say
    )
    assert verdict.arrived >= WRITES
    wait_until_sent(kube, seconds=120)
    last = max(row.processed_at for row in rows)
    for one, until in zip(killed, [*(kill.at for kill in killed[1:]), last], strict=True):
        say(
            f"kill -9 of {one.names}: ready after {one.back - one.at:.1f} s, "
            f"longest time without a processed event {longest_silence(rows, one.at, until):.1f} s"
        )
    say(
        f"all {verdict.acked} acknowledged writes and {len(verdict.arrived_unacked)} in doubt"
        f" processed once and in order, the last {max(0.0, last - ended):.1f} s after the last"
        f" answer; POST to processed p50 {percentile(verdict.latencies, 0.5):.2f} s,"
        f" p95 {percentile(verdict.latencies, 0.95):.2f} s (faults included)"
    )


def kill(kube: Kube, running: Background, victims: Sequence[Victim], say: Say) -> Killed:
    """In the middle of the stream, and wait until all are back."""
    go_on(running)
    pods = [
        (namespace, pod)
        for namespace, workload, which in victims
        for pod in some_of(kube, namespace, workload, which)
    ]
    names = ", ".join(pod["metadata"]["name"] for _, pod in pods)
    at = min(kill_minus_9(kube, pod) for _, pod in pods)
    say(f"kill -9 of {names} at {running.acknowledged} acknowledged writes")
    back = max(
        wait_for_restart(kube, namespace, pod, seconds=RESTART_SECONDS) for namespace, pod in pods
    )
    say(f"back and ready after {back - at:.1f} s")
    return Killed(names, at, back)


def go_on(running: Background) -> None:
    running.wait_for_acknowledged(running.acknowledged + BETWEEN, seconds=120)


def some_of(kube: Kube, namespace: str, workload: str, which: slice) -> list[Any]:
    found = pods_of(kube, namespace, workload)[which]
    assert found, f"{workload} has no such pod"
    return found


def not_acknowledged(ledger: Ledger) -> list[Write]:
    """Of those that were answered, or are known not to be."""
    return [
        write
        for write in ledger.writes
        if write.answered_at is not None and write.outcome is not Outcome.ACKED
    ]
