"""Jobs made of the templates that the stack keeps, and how they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from infra.model import operations as names
from operations.request import RefusedError, Request

NAMESPACE: Final = "data"
OPERATION: Final = "millrace.dev/operation"
DATABASE: Final = "millrace.dev/database"
WHO: Final = "millrace.dev/who"
OUTCOME: Final = "millrace.dev/outcome"
AUDIT: Final = "millrace.dev/audit"
KEPT_SECONDS: Final = 7 * 86400
"""How long a Job that has ended can be looked at, if no other takes its place."""


def job(request: Request, template: Mapping[str, Any], who: str) -> dict[str, Any]:
    """The Job: the template's, with the request's command, under the server's one name.

    One name, so that the API server refuses a second one: two operators, or one of them twice,
    never work on a server at the same time.
    """
    made = template["spec"]["jobTemplate"]
    spec = json.loads(json.dumps(made["spec"]))
    pod = spec["template"]
    (container,) = pod["spec"]["containers"]
    container["command"] = request.command(container["command"])
    container["env"] = [*container.get("env", ()), {"name": "OPERATOR", "value": who}]
    name = names.operation(request.target.server)
    # Not the template's own name: what selects its pods must not find these.
    labels = {**made["metadata"]["labels"], "app.kubernetes.io/name": name}
    pod["metadata"]["labels"] = {**pod["metadata"]["labels"], "app.kubernetes.io/name": name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {**labels, "app.kubernetes.io/managed-by": "operations"},
            "ownerReferences": [_owner(template)],
            "annotations": {
                OPERATION: request.text,
                DATABASE: request.target.database,
                WHO: who,
            },
        },
        "spec": {**spec, "ttlSecondsAfterFinished": KEPT_SECONDS},
    }


def _owner(template: Mapping[str, Any]) -> dict[str, Any]:
    """The CronJob, so that the Job goes with it.

    Pulumi does not know the Job; left behind when the stack is destroyed, it would keep the claim
    of the backups from being deleted. Not as its controller, which would count the Job among those
    of the schedule.
    """
    about = template["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": about["name"],
        "uid": about["uid"],
    }


@dataclass(frozen=True)
class Seen:
    """A Job at one moment."""

    name: str
    uid: str
    operation: str
    who: str
    since: str
    succeeded: bool
    failed: str
    """Why Kubernetes gave it up; empty: it did not."""
    noted: bool
    """Whether its outcome stands at the Job already."""

    @property
    def over(self) -> bool:
        return self.succeeded or bool(self.failed)

    def minutes(self, now: datetime) -> int:
        return round((now - datetime.fromisoformat(self.since)).total_seconds() / 60)


def seen(item: Mapping[str, Any]) -> Seen:
    """From a Job as the API gives it."""
    about = item["metadata"]
    said: Mapping[str, str] = about.get("annotations") or {}
    conditions = {
        one["type"]: one
        for one in item.get("status", {}).get("conditions", ())
        if one["status"] == "True"
    }
    failed = conditions.get("Failed")
    return Seen(
        name=about["name"],
        uid=about["uid"],
        operation=said.get(OPERATION) or str(about["name"]),
        who=said.get(WHO, "the schedule"),
        since=about["creationTimestamp"],
        succeeded="Complete" in conditions,
        failed=_why(failed) if failed else "",
        noted=OUTCOME in said,
    )


def _why(condition: Mapping[str, str]) -> str:
    if condition.get("reason") == "DeadlineExceeded":
        return (
            "it took longer than it may and was stopped; raise backups.backupSeconds or "
            "restoreSeconds in the stack file"
        )
    return condition.get("message") or condition.get("reason") or "failed"


def refuse_beside(running: Seen, now: datetime) -> RefusedError:
    """What a second operator is told."""
    return RefusedError(
        f"{running.operation} has been running for {running.minutes(now)} min, begun by "
        f"{running.who} at {running.since}; one at a time on a server. `make operation DB=…` "
        "shows it; wait until it is over"
    )


@dataclass(frozen=True)
class Attempt:
    """One pod of a Job."""

    name: str
    phase: str
    waiting: str
    """Why it does not run yet; empty when it says nothing."""

    @property
    def started(self) -> bool:
        return self.phase in ("Running", "Succeeded", "Failed")


def attempt(pod: Mapping[str, Any]) -> Attempt:
    """From a pod as the API gives it."""
    status = pod["status"]
    reasons = [
        state["waiting"].get("reason", "")
        for one in status.get("containerStatuses", ())
        if "waiting" in (state := one.get("state", {}))
    ]
    reasons += [
        one.get("message", "")
        for one in status.get("conditions", ())
        if one["type"] == "PodScheduled" and one["status"] == "False"
    ]
    return Attempt(
        pod["metadata"]["name"], status.get("phase", "Pending"), "; ".join(filter(None, reasons))
    )
