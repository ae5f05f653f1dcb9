"""Points of devices: through the death of every part of their way, in, and out again."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube, KubeError
from loadtests.telemetry.arriving import read, send, wait_until_read
from loadtests.telemetry.books import DATABASE, SERVER
from loadtests.telemetry.client import Point
from loadtests.telemetry.over_httpx import telemetry_of
from tests.e2e.cluster import (
    kill_minus_9,
    main_status,
    pods_of,
    replace_restarted,
    wait_for,
    wait_for_restart,
    wait_for_restart_or_end,
    wait_until_settled,
)
from tests.e2e.conftest import Say
from tests.e2e.points import Flow, Shape, flowing
from tests.e2e.ready import watched
from tests.e2e.rollups import check_rollups, close_windows
from tests.e2e.test_eviction import evict

APPS, DATA = "apps", "data"
INGEST, WRITER, CPU, KAFKA = "ingest-service", "async-writer", "cpu-writer", "kafka"
READERS = f"{SERVER}-readers"
PROXY = "proxysql"
POINTS = 200_000
RESTART_SECONDS = 240.0
FEW = Shape(writers=4, devices=50, pace=0.5)
REFUSALS = ("503 unavailable", "503 outcome-unknown", "503 full", "503 no-keys")
"""To the letter: a 503 that does not say when to come back is another failure. The last is of a
process that has just begun, and has not seen yet what tokens are signed with."""
CUT = ("ReadError", "ConnectError", "RemoteProtocolError", "ReadTimeout", "ConnectTimeout")
"""How failures begin of requests without an answer. All these may come while what they need is
gone."""

pytestmark = pytest.mark.usefixtures("settled")

# Those of the pool are children of the server that forks them, which is one of the first process'.
KILL_A_CHILD = """
import os, pathlib, signal
def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
pool = [one for child in children(1) for one in children(child)]
os.kill(int(pool[0]), signal.SIGKILL)
print(len(pool))
"""


@dataclass
class Killing:
    """What falls while points flow, one after the other."""

    kube: Kube
    flow: Flow
    say: Say

    def process(self, namespace: str, workload: str) -> None:
        """SIGKILL of a pod's first process; returns once it is ready again."""
        while True:
            pod = pods_of(self.kube, namespace, workload)[0]
            name = pod["metadata"]["name"]
            at = kill_minus_9(self.kube, pod)
            back = wait_for_restart_or_end(self.kube, namespace, pod, seconds=RESTART_SECONDS)
            if back is not None:
                break
            assert workload == INGEST, f"{name} is gone, and has no autoscaler"
            self.say(f"{name} was let go when it had been killed: another one is killed")
        self.say(
            f"kill -9 of {name}: ready after {back - at:.1f} s, "
            f"{self.flow.acknowledged} points acknowledged"
        )
        self.flow.goes_on()

    def two_writers_at_once(self) -> None:
        """One is killed, one is deleted; one is left."""
        first, second = pods_of(self.kube, APPS, WRITER)[:2]
        kill_minus_9(self.kube, first)
        name = second["metadata"]["name"]
        self.kube.run("delete", "pod", name, "-n", APPS, "--wait=false")
        wait_for_restart(self.kube, APPS, first, seconds=RESTART_SECONDS)
        self.say(f"one of {WRITER} killed, {name} deleted")
        self.flow.goes_on()

    def a_child_of_the_pool(self) -> None:
        """The pod goes on: its container is not restarted for it."""
        before = pods_of(self.kube, APPS, CPU)[0]
        pod = before["metadata"]["name"]
        command = ("exec", "-n", APPS, pod, "--", "python", "-c", KILL_A_CHILD)
        children = wait_for("a child of the pool", lambda: self._tried(command), seconds=60)
        self.say(f"kill -9 of a child of {pod}'s pool of {children.strip()}")
        self.flow.goes_on()
        after = pods_of(self.kube, APPS, CPU)[0]
        assert main_status(after)["restartCount"] == main_status(before)["restartCount"]

    def _tried(self, command: tuple[str, ...]) -> str | None:
        try:
            return self.kube.run(*command)
        except KubeError:
            return None

    def replication(self) -> None:
        """Stopped on a copy, which then is led to no more; started again."""
        copy = f"{READERS}-0"
        on_copy(self.kube, "STOP REPLICA SQL_THREAD")
        try:
            gone = f"{copy} to leave its Service"
            wait_for(gone, lambda: copy not in led_to(self.kube), seconds=120)
            self.flow.goes_on()
        finally:
            on_copy(self.kube, "START REPLICA SQL_THREAD")
        wait_for(f"{copy} to come back", lambda: copy in led_to(self.kube), seconds=180)
        self.say(f"replication stopped: {copy} left the Service {READERS}, and came back")


def proxies_of(kube: Kube) -> list[Any]:
    """Pods of ProxySQL; none where the stack has no image of it."""
    label = "app.kubernetes.io/component"
    found = kube.items("pods", DATA)
    return [pod for pod in found if pod["metadata"].get("labels", {}).get(label) == PROXY]


def on_copy(kube: Kube, statement: str) -> str:
    return kube.mysql(DATABASE, statement, server=READERS)


def led_to(kube: Kube) -> set[str]:
    """The copies that the readers' Service leads to."""
    slices = kube.json("get", "endpointslices", "-n", DATA, "-l",
                       f"kubernetes.io/service-name={READERS}")["items"]  # fmt: skip
    return {
        endpoint["targetRef"]["name"]
        for found in slices
        for endpoint in found.get("endpoints") or []
        if endpoint["conditions"].get("ready")
    }


@pytest.fixture(scope="module")
def survived() -> list[Flow]:
    """What flowed through the deaths, for whoever looks at it later."""
    return []


@pytest.mark.timeout(1500)
def test_points_survive_the_death_of_every_part_of_their_way(
    checkout: Checkout, kube: Kube, prefix: str, say: Say, survived: list[Flow]
) -> None:
    parts = ((APPS, INGEST), (APPS, WRITER), (APPS, CPU), (DATA, SERVER), (DATA, READERS),
             (DATA, KAFKA))  # fmt: skip
    replace_restarted(kube, *parts)
    began = time.monotonic()
    with flowing(checkout, prefix, least=POINTS) as flow:
        killing = Killing(kube, flow, say)
        flow.goes_on(2)
        killing.two_writers_at_once()
        killing.a_child_of_the_pool()
        killing.process(APPS, CPU)
        killing.process(APPS, INGEST)
        killing.replication()
        killing.process(DATA, READERS)
        killing.process(DATA, SERVER)
        killing.process(DATA, KAFKA)
        for proxy in proxies_of(kube)[:1]:
            killing.process(DATA, proxy["metadata"]["labels"]["app.kubernetes.io/name"])
    say(
        f"{flow.acknowledged} points of {len(flow.ledger.accounts)} keys acknowledged in "
        f"{time.monotonic() - began:.0f} s; failed requests: {dict(flow.failures)}"
    )
    assert flow.acknowledged >= POINTS
    known = [what for what in flow.failures if what in REFUSALS or what.startswith(CUT)]
    assert not set(flow.failures) - set(known), flow.failures
    flow.check_books(kube)
    say("the table holds the newest acknowledged value of every key, and nothing else")
    survived.append(flow)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", ["drain", "rollout"])
def test_two_writers_are_ready_at_every_moment_of_a_drain_and_of_a_rollout_and_nothing_is_lost(
    checkout: Checkout, kube: Kube, api: httpx.Client, prefix: str, say: Say, how: str
) -> None:
    act: Callable[[Kube, httpx.Client], None] = {"drain": drain, "rollout": roll}[how]
    wait_for_the_entry_at_rest(kube)
    seen: AbstractContextManager = watched(api, APPS, WRITER)
    with seen as ready, flowing(checkout, prefix, FEW) as flow:
        flow.goes_on(2)
        before = {pod["metadata"]["uid"] for pod in pods_of(kube, APPS, WRITER)}
        assert ready.least == len(before) >= 3
        act(kube, api)
        wait_until_settled(kube, seconds=240)
        flow.goes_on(2)
        after = {pod["metadata"]["uid"] for pod in pods_of(kube, APPS, WRITER)}
        assert not before & after, "a pod is still the one it was"
    say(f"{how}: never fewer than {ready.least} of {len(before)} ready, at {len(ready.changes)} "
        f"changes; {flow.acknowledged} points acknowledged meanwhile")  # fmt: skip
    assert ready.least >= 2, ready.changes
    assert flow.failures == {}, "writers are on no request's way"
    flow.check_books(kube)


def wait_for_the_entry_at_rest(kube: Kube) -> None:
    """The load of the test before is over for its autoscaler, too: a pod that leaves while points
    flow may cut a request off."""
    least = kube.json("get", "hpa", INGEST, "-n", APPS)["spec"]["minReplicas"]
    wait_for(f"{least} pods of {INGEST}", lambda: len(pods_of(kube, APPS, INGEST)) <= least,
             seconds=240)  # fmt: skip
    wait_until_settled(kube, seconds=120)


def drain(kube: Kube, api: httpx.Client) -> None:
    """As `kubectl drain` empties a node: each eviction is asked for until it is allowed."""
    for pod in pods_of(kube, APPS, WRITER):
        wait_for(
            f"{pod['metadata']['name']} to be evicted",
            lambda pod=pod: evicted(api, pod),
            seconds=180,
        )


def evicted(api: httpx.Client, pod: Any) -> bool:
    """Whether the pod goes now. One that is gone does so because an answer came too late."""
    try:
        return evict(api, pod).status_code in (201, 404)
    except httpx.TimeoutException:
        return False


def roll(kube: Kube, _api: httpx.Client) -> None:
    target = f"deployment/{WRITER}"
    kube.run("rollout", "restart", target, "-n", APPS)
    kube.run("rollout", "status", target, "-n", APPS, "--timeout=300s", timeout=310)


@pytest.mark.timeout(600)
def test_a_strong_read_sees_what_is_stored_while_a_copy_stands_still(
    checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> None:
    now = datetime.now(UTC)
    points = [
        Point(device_id=f"{prefix}-1", metric="level", ts=now - timedelta(minutes=n), value=n)
        for n in (3, 2, 1)
    ]
    with telemetry_of(checkout) as telemetry:
        on_copy(kube, "STOP REPLICA SQL_THREAD")
        try:
            sent = time.monotonic()
            send(telemetry, points, within=60)
            strong = wait_until_read(telemetry, points, "strong", within=60) - sent
            found = read(telemetry, points[0].device_id, consistency="strong", within=60)
            assert found == points
            assert f"{prefix}-1" not in on_copy(kube, "SELECT DISTINCT device_id FROM telemetry")
        finally:
            on_copy(kube, "START REPLICA SQL_THREAD")
        wait_for("the copy to be led to again", lambda: led_to(kube), seconds=180)
        eventual = wait_until_read(telemetry, points, "eventual", within=90) - sent
    say(f"read from the source {strong:.2f} s after they were sent, from the copy {eventual:.2f} s")


@pytest.mark.timeout(900)
def test_rollups_of_points_that_survived_are_what_sql_makes_of_the_table(
    checkout: Checkout, kube: Kube, say: Say, survived: list[Flow]
) -> None:
    """Of the first test's points. Their windows close a minute and a half after they were sent,
    which the tests between fill."""
    assert survived, "no points survived, or their test did not run"
    (flow,) = survived
    close_windows(checkout, flow)
    say(f"{check_rollups(kube, flow)} rollups are what SQL makes of the table")


def test_services_come_to_the_database_through_the_proxy_where_the_stack_has_one(
    kube: Kube,
) -> None:
    proxies = {pod["status"]["podIP"] for pod in proxies_of(kube)}
    if not proxies:
        pytest.skip("THIS STACK HAS NO PROXYSQL: give it an image, or nothing here tests the way")
    asked = (
        "SELECT DISTINCT host FROM information_schema.processlist WHERE user LIKE 'telemetry_user%'"
    )
    for server in (SERVER, READERS):
        found = kube.mysql(DATABASE, asked, server=server).split()
        hosts = {host.partition(":")[0] for host in found}
        assert hosts <= proxies, f"{server} is asked by {hosts - proxies}, past the proxy"
    assert kube.mysql(DATABASE, asked, server=SERVER), "nobody asks the source"
