"""A second Prometheus and Alertmanager, with the platform's targets, rules and routes, whose clock
runs faster: a test sees in a minute what takes five."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import yaml

from bootstrap.kube import Kube
from components.kit import paths
from infra.monitoring.rules import written
from operations.forwarding import forwarded
from tests.e2e.cluster import wait_for
from tests.harness import time_lapse

PACE: Final = 5
NAMESPACE: Final = "monitoring"
_NAME: Final = "e2e-time-lapse"
_PROMETHEUS, _ALERTMANAGER = 9090, 9093
_STARTS_SECONDS: Final = 120


@dataclass(frozen=True, order=True)
class Told:
    """An alert that fires, by what it is about."""

    name: str
    about: str
    """The job, or what else the alert is by."""
    severity: str
    silenced: bool
    """Explained by another one, so that nobody is told."""
    window: str
    """Of a budget that burns, for how long back is looked; else empty."""
    since: datetime
    """When it began to fire."""

    def __str__(self) -> str:
        return f"{self.name}({self.about})"


@dataclass(frozen=True)
class Watch:
    """What the two say, by clients of each."""

    prometheus: httpx.Client
    alertmanager: httpx.Client
    waits: timedelta
    """How long an alert is kept back, in case another one silences it."""

    def fire(self) -> list[Told]:
        """All alerts as Alertmanager has them."""
        answer = self.alertmanager.get("/api/v2/alerts", params={"active": "true"})
        return sorted({_told(alert) for alert in answer.raise_for_status().json()})

    def told(self) -> list[Told]:
        """Those that somebody would be woken for by now."""
        before = datetime.now(UTC) - self.waits
        return [
            one
            for one in self.fire()
            if one.severity == "page" and not one.silenced and one.since < before
        ]

    def pages(self) -> set[str]:
        """The same, like `ServerDown(kafka)`."""
        return {str(one) for one in self.told()}

    def tickets(self) -> set[str]:
        return {str(one) for one in self.fire() if one.severity == "ticket"}

    def values(self, query: str) -> list[float]:
        """Of an instant query, one a series."""
        answer = self.prometheus.get("/api/v1/query", params={"query": query}).raise_for_status()
        return [float(row["value"][1]) for row in answer.json()["data"]["result"]]

    def looked(self) -> bool:
        """Whether both answer, and the rules went by what was seen."""
        try:
            return bool(self.fire())  # the watchdog, at least
        except httpx.HTTPError:
            return False

    def down(self) -> list[str]:
        """Targets that do not answer, each with the reason."""
        answer = self.prometheus.get("/api/v1/targets", params={"state": "active"})
        return [
            f"{target['labels']['job']} {target['scrapeUrl']}: {target['lastError'] or 'not asked'}"
            for target in answer.raise_for_status().json()["data"]["activeTargets"]
            if target["health"] != "up"
        ]


def _told(alert: Any) -> Told:
    labels = alert["labels"]
    about = next((labels[key] for key in ("certificate", "job") if key in labels), "")
    silenced = alert["status"]["state"] != "active"
    window, since = labels.get("window", ""), datetime.fromisoformat(alert["startsAt"])
    return Told(labels["alertname"], about, labels["severity"], silenced, window, since)


@contextmanager
def started(kube: Kube) -> Iterator[Watch]:
    """Both run in one pod beside the platform's, with the rights of its Prometheus."""
    remove = ("delete", "pod,configmap", _NAME, "-n", NAMESPACE, "--ignore-not-found", "--now")
    kube.run(*remove, timeout=120)
    texts = _texts(kube)
    waits = yaml.safe_load(texts["alertmanager.yml"])["route"]["group_wait"]
    for thing in _objects(kube, texts):
        kube.run("apply", "-f", "-", stdin=json.dumps(thing))
    try:
        wait_for("the faster clock to run", lambda: _ready(kube), seconds=_STARTS_SECONDS)
        pod = f"pod/{_NAME}"
        with (
            forwarded(kube, NAMESPACE, pod, _PROMETHEUS) as prometheus,
            forwarded(kube, NAMESPACE, pod, _ALERTMANAGER) as alertmanager,
            _client(prometheus) as first,
            _client(alertmanager) as second,
        ):
            watch = Watch(first, second, timedelta(seconds=time_lapse.seconds(waits)))
            wait_for("a first look at everything", watch.looked, seconds=_STARTS_SECONDS)
            yield watch
    finally:
        kube.run(*remove, timeout=120)


def _client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20)


def _ready(kube: Kube) -> bool:
    pod = kube.json("get", "pod", _NAME, "-n", NAMESPACE)
    states = pod["status"].get("containerStatuses", [])
    return len(states) == 2 and all(state["ready"] for state in states)


def _objects(kube: Kube, texts: dict[str, str]) -> list[Any]:
    ours = {"name": _NAME, "namespace": NAMESPACE}
    watching, telling = _template(kube, "prometheus"), _template(kube, "alertmanager")
    trust = next(m for m in watching["containers"][0]["volumeMounts"] if m["mountPath"] == paths.CA)
    kept = next(volume for volume in watching["volumes"] if volume["name"] == trust["name"])
    config = {"name": "config", "mountPath": paths.config("prometheus")}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": ours,
        "spec": {
            "securityContext": watching["securityContext"],
            # Prometheus' rights to find its targets.
            "serviceAccountName": watching["serviceAccountName"],
            "automountServiceAccountToken": True,
            "terminationGracePeriodSeconds": 1,
            "volumes": [
                kept,
                {"name": "config", "configMap": {"name": _NAME}},
                {"name": "data", "emptyDir": {"sizeLimit": "256Mi"}},
            ],
            "containers": [
                _container(
                    watching, "prometheus", _PROMETHEUS, "--storage.tsdb.path", config, trust
                ),
                _container(telling, "alertmanager", _ALERTMANAGER, "--storage.path", config),
            ],
        },
    }
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": ours, "data": texts}, pod]


def _container(template: Any, name: str, port: int, data: str, *mounts: Any) -> Any:
    """The platform's own container, with another configuration, and for this machine alone."""
    (given,) = template["containers"]
    folder = f"/{name}"
    more = ["--cluster.listen-address="] if name == "alertmanager" else []
    return {
        "name": name,
        "image": given["image"],
        "command": [
            f"/bin/{name}",
            f"--config.file={paths.config('prometheus')}/{name}.yml",
            f"--web.listen-address=127.0.0.1:{port}",
            f"{data}={folder}",
            *more,
        ],
        "env": given.get("env", []),
        "securityContext": given["securityContext"],
        "resources": given["resources"],
        "volumeMounts": [*mounts, {"name": "data", "mountPath": folder, "subPath": name}],
    }


def _template(kube: Kube, name: str) -> Any:
    found = kube.json("get", "statefulset", name, "-n", NAMESPACE)
    return found["spec"]["template"]["spec"]


def _texts(kube: Kube) -> dict[str, str]:
    """The platform's own, on the faster clock."""
    given = kube.json("get", "configmap", "prometheus-config", "-n", NAMESPACE)["data"]
    faster = {
        name: time_lapse.document(yaml.safe_load(text), PACE)
        for name, text in given.items()
        if name.startswith("rules-") or name == "prometheus.yml"
    }
    # The machine is no faster: who is asked has all the time until he is asked again.
    often = faster["prometheus.yml"]["global"]
    often["scrape_timeout"] = often["scrape_interval"]
    own = f"127.0.0.1:{_ALERTMANAGER}"
    faster["prometheus.yml"]["alerting"] = {
        "alertmanagers": [{"static_configs": [{"targets": [own]}]}]
    }
    told = kube.json("get", "configmap", "alertmanager-config", "-n", NAMESPACE)["data"]
    routes = time_lapse.document(yaml.safe_load(told["alertmanager.yml"]), PACE)
    # Nobody is told by this one.
    routes["receivers"] = [{"name": receiver["name"]} for receiver in routes["receivers"]]
    return {name: written(text) for name, text in {**faster, "alertmanager.yml": routes}.items()}
