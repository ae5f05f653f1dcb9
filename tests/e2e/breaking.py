"""Faults that last for a block, for the test of alerts. After it each is taken back; that the
platform is whole again is for the test to see, as others may still be there."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

import httpx

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube, KubeError
from loadtests.traffic import RESOURCES
from tests.e2e.cluster import kill_minus_9, main_status, pods_of, wait_for
from tests.e2e.documents import Writer
from tests.harness.short_lived_ca import short_lived_ca

APPS, DATA = "apps", "data"
CA = "millrace-ca"
_LOCKED_SECONDS: Final = 600
_ASKING: Final = 4
"""Clients at once."""


@contextmanager
def without_pods(kube: Kube, deployment: str) -> Iterator[None]:
    """A Deployment of services that somebody scaled to nothing."""
    before = len(pods_of(kube, APPS, deployment))
    scale = ("scale", f"deployment/{deployment}", "-n", APPS)
    kube.run(*scale, "--replicas=0")
    try:
        yield
    finally:
        kube.run(*scale, f"--replicas={before}")


@contextmanager
def full_stream(checkout: Checkout, prefix: str) -> Iterator[None]:
    """Documents until no more are taken; nobody may be writing them away."""
    with Writer(checkout, f"{prefix}-full", size=400, text="x" * 1_500, pause=0.01) as filler:
        wait_for("admission to say no", lambda: filler.refused > 3, seconds=150)
    yield


@contextmanager
def stopped_copy(kube: Kube, server: str) -> Iterator[None]:
    """A copy that applies nothing any more."""
    readers = f"{server}-readers"
    kube.mysql("telemetry", "STOP REPLICA SQL_THREAD", server=readers)
    try:
        yield
    finally:
        kube.mysql("telemetry", "START REPLICA SQL_THREAD", server=readers)


@contextmanager
def crash_loop(kube: Kube, workload: str) -> Iterator[None]:
    """One pod whose process is killed as soon as it runs, while the block lasts."""
    name = pods_of(kube, APPS, workload)[0]["metadata"]["name"]
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.5):
            with suppress(KubeError, AssertionError, ValueError, KeyError):
                pod = kube.json("get", "pod", name, "-n", APPS)
                if "running" in main_status(pod)["state"]:
                    kill_minus_9(kube, pod)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join(timeout=60)
        # Instead of waiting for as long as the kubelet would by now.
        kube.run("delete", "pod", name, "-n", APPS, "--wait=true", timeout=120)


@contextmanager
def certificate_about_to_end(kube: Kube, workload: str) -> Iterator[None]:
    """One CA more that is trusted, for five days from now; a pod of the workload has seen it."""
    bundle = kube.json("get", "configmap", CA, "-n", APPS, "--show-managed-fields")
    [(key, text)] = bundle["data"].items()
    metadata = bundle["metadata"]
    # In its owner's name: the program could not change what somebody else says.
    [owner] = {it["manager"] for it in metadata.pop("managedFields") if it["operation"] == "Apply"}
    for made in ("creationTimestamp", "resourceVersion", "uid"):
        metadata.pop(made)

    def put(value: str, which: int) -> None:
        """And a new pod, which has seen it, for one of those there are, oldest first."""
        whole = json.dumps({**bundle, "data": {key: value}})
        as_owner = ("--server-side", "--force-conflicts", "--field-manager", owner)
        kube.run("apply", *as_owner, "-f", "-", stdin=whole)
        pod = pods_of(kube, APPS, workload)[which]["metadata"]["name"]
        kube.run("delete", "pod", pod, "-n", APPS, "--wait=true", timeout=120)
        kube.run("rollout", "status", f"deployment/{workload}", "-n", APPS, timeout=150)

    put(text + short_lived_ca(timedelta(days=5)), 0)
    try:
        yield
    finally:
        put(text, -1)


@contextmanager
def locked_table(kube: Kube, http: httpx.Client) -> Iterator[None]:
    """What rest-service asks of its table waits for a lock that somebody holds, and clients ask."""
    lock = f"BEGIN; LOCK TABLE resources; SELECT pg_sleep({_LOCKED_SECONDS});"

    def hold() -> None:
        with suppress(KubeError):  # its session is ended below
            kube.psql(
                "restdb", f"SET application_name = 'e2e-lock';\n{lock}", timeout=_LOCKED_SECONDS
            )

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    try:
        with asked(lambda: http.get(RESOURCES)):
            yield
    finally:
        kube.psql(
            "restdb",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'e2e-lock';",
        )
        holder.join(timeout=60)
        assert not holder.is_alive()


@contextmanager
def asked(request: Callable[[], object]) -> Iterator[None]:
    """A few clients who ask again and again, whatever is answered."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.2):
            with suppress(httpx.HTTPError):
                request()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(_ASKING)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        deadline = time.monotonic() + 60
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive()
