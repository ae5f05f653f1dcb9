"""How many pods of a workload are ready, at every change: none is missed between two looks."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.e2e.cluster import wait_for

_LABEL = "app.kubernetes.io/name"


class Ready:
    """What the API's watch said; ``least`` is the lowest number of ready pods so far."""

    def __init__(self, api: httpx.Client, namespace: str, workload: str) -> None:
        self.least = 10_000
        self.changes: list[tuple[float, int, str]] = []
        """When, how many were ready from then on, and whose change it was."""
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._selector = f"{_LABEL}={workload}"
        self._pods: dict[str, bool] = {}
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Returns once the pods are known."""
        self._thread.start()
        wait_for("the pods to be known", lambda: self._alive() and self.changes, seconds=60)

    def stop(self) -> None:
        """Raises what ended the watch early: then nobody knows what was missed."""
        self._over = True
        self._alive()

    def _alive(self) -> bool:
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        try:
            asked = {"labelSelector": self._selector}
            listed = self._api.get(self._path, params=asked).raise_for_status().json()
            for pod in listed["items"]:
                self._pods[pod["metadata"]["name"]] = _serves(pod)
            self._note("the first look")
            since = listed["metadata"]["resourceVersion"]
            given = {**asked, "watch": "1", "resourceVersion": since, "timeoutSeconds": "3000"}
            with self._api.stream("GET", self._path, params=given, timeout=None) as changes:
                for line in changes.iter_lines():
                    if self._over:
                        return
                    self._take(json.loads(line))
            assert self._over, "the watch ended"
        except BaseException as error:  # handed to the test's own thread
            self._error = error

    def _take(self, change: Any) -> None:
        kind, pod = change["type"], change["object"]
        assert kind in ("ADDED", "MODIFIED", "DELETED"), change
        name = pod["metadata"]["name"]
        self._pods[name] = kind != "DELETED" and _serves(pod)
        self._note(name)

    def _note(self, whose: str) -> None:
        count = sum(self._pods.values())
        self.changes.append((time.time(), count, whose))
        self.least = min(self.least, count)


def _serves(pod: Any) -> bool:
    """Ready, and not on its way out."""
    conditions = pod["status"].get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


@contextmanager
def watched(api: httpx.Client, namespace: str, workload: str) -> Iterator[Ready]:
    """Every change inside the block is seen."""
    ready = Ready(api, namespace, workload)
    ready.start()
    yield ready
    ready.stop()
