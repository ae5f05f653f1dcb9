"""TLS on every hop, enforced by the servers: asked from a pod inside the cluster."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.kube import Kube
from tests.e2e.cluster import pods_of, wait_for

SCRIPT = Path(__file__).with_name("probe_tls.py")
SERVERS = (
    ("postgres.data.svc", "5432", "postgres"),
    ("kafka.data.svc", "9092", "kafka"),
    ("redis-cache.data.svc", "6379", "redis"),
    ("client-database.data.svc", "3306", "mysql"),
    ("telemetry-database.data.svc", "3306", "mysql"),
    ("telemetry-database-readers.data.svc", "3306", "mysql"),
)
POD = "e2e-tls-probe"


def probe_pod(kube: Kube) -> dict[str, Any]:
    """A pod like rest-service's (image, security context, CA), that only runs our probe."""
    spec = pods_of(kube, "apps", "rest-service")[0]["spec"]
    (container,) = spec["containers"]
    mount = next(m for m in container["volumeMounts"] if m["mountPath"] == "/etc/millrace/ca")
    volume = next(v for v in spec["volumes"] if v["name"] == mount["name"])
    arguments = ["/etc/millrace/ca/ca.crt", *(part for server in SERVERS for part in server)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": "apps"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "activeDeadlineSeconds": 240,
            "securityContext": spec["securityContext"],
            "volumes": [volume],
            "containers": [
                {
                    "name": "probe",
                    "image": container["image"],
                    "command": ["python", "-c", SCRIPT.read_text(), *arguments],
                    "securityContext": container["securityContext"],
                    "volumeMounts": [mount],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "500m", "memory": "128Mi"},
                    },
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def probed(kube: Kube) -> Iterator[dict[str, Any]]:
    """Server to what the probe found."""
    delete = ("delete", "pod", POD, "-n", "apps", "--ignore-not-found", "--grace-period=1")
    kube.run(*delete)
    kube.run("apply", "-f", "-", stdin=json.dumps(probe_pod(kube)))
    try:
        phase = wait_for(
            "the probe pod to end",
            lambda: {"Succeeded": "Succeeded", "Failed": "Failed"}.get(
                kube.json("get", "pod", POD, "-n", "apps")["status"]["phase"]
            ),
            seconds=240,
        )
        said = kube.run("logs", POD, "-n", "apps")
        assert phase == "Succeeded", said
        yield json.loads(said.splitlines()[-1])
    finally:
        kube.run(*delete)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server[0].partition(".")[0])
def test_a_server_refuses_plaintext_and_speaks_tls_with_a_verified_name(
    probed: dict[str, Any], server: tuple[str, str, str]
) -> None:
    host, port, protocol = server
    found = probed[f"{protocol} {host}:{port}"]
    assert "error" not in found, found
    assert found["refused"], f"{host}:{port} answered plaintext: {found['said']!r}"
    assert found["tls"] in ("TLSv1.2", "TLSv1.3"), found


def test_kafka_without_a_client_certificate_cannot_use_the_internal_listener(kube: Kube) -> None:
    """The ports between brokers are for mutual TLS alone; see the Service: they are not on it."""
    ports = kube.json("get", "service", "kafka", "-n", "data")["spec"]["ports"]
    assert [port["port"] for port in ports] == [9092]
