"""Whether a pod sees the newest content: by its file, or where nothing can look, by its age."""

import hashlib
import json
from typing import Any, cast

import pytest

from bootstrap.kube import Kube, KubeError
from operations.rotate import holders

CONTENT = "the CAs"
CHANGED = "2026-01-02T03:04:05Z"
BLIND = 'exec: "sha256sum": executable file not found in $PATH'


class Cluster:
    """One pod, which mounts the bundle."""

    def __init__(self, namespace: str, begun: str, file: str | None) -> None:
        """file: what the pod sees; None: its image has no program to look with."""
        self.did: list[str] = []
        self._namespace, self._begun, self._file = namespace, begun, file

    def items(self, _kind: str, namespace: str) -> list[Any]:
        pod = {
            "metadata": {"name": "some", "namespace": namespace},
            "status": {"phase": "Running", "startTime": self._begun},
            "spec": {
                "volumes": [{"name": "ca", "configMap": {"name": "millrace-ca"}}],
                "containers": [{"name": "c", "volumeMounts": [{"name": "ca", "mountPath": "/x"}]}],
            },
        }
        return [pod] if namespace == self._namespace else []

    def run(self, what: str, *args: str) -> str:
        if what == "get":
            assert "--show-managed-fields" in args, "kubectl leaves them out otherwise"
            times = {"creationTimestamp": "2025-01-01T00:00:00Z"}
            return json.dumps(
                {
                    "metadata": times | {"managedFields": [{}, {"time": CHANGED}]},
                    "data": {"ca.crt": CONTENT},
                }
            )
        if what == "exec":
            if self._file is None:
                raise KubeError(BLIND)
            return f"{hashlib.sha256(self._file.encode()).hexdigest()}  /x/ca.crt\n"
        self.did.append(what)
        return ""

    def missing(self) -> str:
        return holders.missing(cast("Kube", self), "millrace-ca", "ca.crt", "configmap")


@pytest.mark.parametrize(
    ("namespace", "begun", "file", "missing", "did"),
    [
        ("apps", "2025-01-01T00:00:00Z", CONTENT, "", []),
        ("apps", "2025-01-01T00:00:00Z", "the old CA", "some", ["annotate"]),
        ("monitoring", "2026-01-02T03:04:06Z", None, "", []),
        ("monitoring", CHANGED, None, "some", ["delete"]),
        ("monitoring", "2025-01-01T00:00:00Z", "the old CA", "some", ["annotate"]),
        # A server is not restarted for that: it is waited for, and the wait's end says so.
        ("data", "2025-01-01T00:00:00Z", None, "some", ["annotate"]),
    ],
    ids=[
        *("seen", "behind", "blind and younger", "blind and older", "watches and is behind"),
        "a server's",
    ],
)
def test_a_pod_sees_the_newest_content_or_is_seen_to(
    namespace: str, begun: str, file: str | None, missing: str, did: list[str]
) -> None:
    cluster = Cluster(namespace, begun, file)
    assert cluster.missing() == missing
    assert cluster.did == did
