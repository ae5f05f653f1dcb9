"""What holds data: it says what becomes of its volumes, and kept data is protected."""

from collections.abc import Iterator
from typing import Final

from policies.resources import Resource, rows, table
from policies.rule import Rule


def retention_is_said(resource: Resource) -> Iterator[str]:
    if resource.kind != "StatefulSet" or not rows(resource.props, "spec", "volumeClaimTemplates"):
        return
    policy = table(resource.props, "spec", "persistentVolumeClaimRetentionPolicy")
    for event in ("whenDeleted", "whenScaled"):
        if policy.get(event) not in ("Retain", "Delete"):
            yield f"does not say what becomes of its claims; set {event} to Retain or Delete"


def kept_means_protected(resource: Resource) -> Iterator[str]:
    """Data worth keeping on deletion is worth a refusal to delete it."""
    if resource.kind != "StatefulSet":
        return
    policy = table(resource.props, "spec", "persistentVolumeClaimRetentionPolicy")
    kept = policy.get("whenDeleted") == "Retain"
    if kept and not resource.protect:
        yield "keeps its volumes but may be deleted; set millrace:protect to true"
    if resource.protect and policy.get("whenScaled") != "Retain":
        yield "is protected, but scaling down deletes volumes; set whenScaled to Retain"


RULES: Final = (
    Rule("claim-retention", "StatefulSets say what becomes of their claims.", retention_is_said),
    Rule("kept-is-protected", "A StatefulSet that keeps data is protected.", kept_means_protected),
)
