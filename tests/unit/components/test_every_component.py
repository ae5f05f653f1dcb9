"""What holds for every component, in every shape it has."""

import ast
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.harness import platforms
from tests.harness.checks import CHECKS, component_classes
from tests.harness.recording import record
from tests.harness.repository import of_kind

GOLDEN = Path(__file__).with_name("statefulsets.golden.json")
REPLACING = (
    "podManagementPolicy",
    "revisionHistoryLimit",
    "selector",
    "serviceName",
    "volumeClaimTemplates",
)
"""Fields of a StatefulSet whose change makes Pulumi delete and re-create it."""
ONLY_BUILDERS = {
    "ContainerArgs": "components/kit/containers.py",
    "PodSecurityContextArgs": "components/kit/pods.py",
    "PodSpecArgs": "components/kit/pods.py",
    "PodTemplateSpecArgs": "components/kit/pods.py",
    "ProbeArgs": "components/kit/probes.py",
    "SecurityContextArgs": "components/kit/containers.py",
    "ServiceAccount": "components/kit/pods.py",
    "StatefulSet": "components/kit/stateful.py",
    "VolumeArgs": "components/kit/volumes.py",
}
"""What is made in one place for all, and where: nobody can leave the hardening out."""


@pytest.mark.parametrize("shape", platforms.PROGRAMS)
@pytest.mark.parametrize("check", CHECKS)
def test_each_shape_passes_each_check(shape: str, check: str) -> None:
    assert list(CHECKS[check](platforms.recorded(shape))) == []


def test_every_component_class_is_built_by_some_program() -> None:
    built = {
        component.kind
        for shape in platforms.PROGRAMS
        for component in platforms.recorded(shape).components()
    }
    assert built == set(component_classes())


def calls(source: str) -> set[str]:
    """The last name of everything the source calls: of `k8s.core.v1.PodSpecArgs(…)`, that."""
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {f.attr for f in functions if isinstance(f, ast.Attribute)} | {
        f.id for f in functions if isinstance(f, ast.Name)
    }


def test_every_pod_goes_through_the_one_builder() -> None:
    found: dict[str, set[str]] = {}
    for path, text in of_kind(".py").items():
        if path.startswith(("components/", "infra/")):
            for name in calls(text) & set(ONLY_BUILDERS):
                found.setdefault(name, set()).add(path)
    assert found == {name: {path} for name, path in ONLY_BUILDERS.items()}


def test_the_directories_that_pods_find_are_named_in_one_module() -> None:
    texts = of_kind(".py", ".sh")
    naming = {path for path in texts if path.startswith(("components/", "infra/"))} & {
        path for path, text in texts.items() if "/etc/millrace" in text
    }
    assert naming == {"components/kit/paths.py"}


def test_type_tokens_have_three_parts_and_end_in_the_class_name() -> None:
    tokens: dict[str, str] = {}
    for shape in platforms.PROGRAMS:
        tokens |= {made.kind: made.type for made in platforms.recorded(shape).components()}
    for name, token in tokens.items():
        project, area, last = token.split(":")
        assert (project, last) == ("millrace", name)
        assert area in ("cluster", "data", "jobs", "monitoring", "pki", "secrets", "service")


def test_the_fields_that_replace_a_stateful_set_are_the_reviewed_ones() -> None:
    """A change of this file deletes servers and, with Delete as retention, their data: review it.

    To accept one, write the value the assertion shows into the golden file.
    """
    found: dict[str, Any] = {}
    for shape in platforms.PROGRAMS:
        for resource in platforms.recorded(shape).of("StatefulSet"):
            spec = resource.inputs["spec"]
            found[f"{shape}: {resource.name}"] = {
                field: spec[field] for field in REPLACING if field in spec
            }
    assert found == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("program", [platforms.kafka, platforms.postgres, platforms.redis])
def test_protection_of_a_component_reaches_its_stateful_set(program: Any) -> None:
    recording = record(lambda: program(opts=pulumi.ResourceOptions(protect=True)))
    assert all(r.protect for r in recording.of("StatefulSet"))


@pytest.mark.parametrize(
    "program",
    [platforms.kafka, platforms.postgres, platforms.redis, platforms.workload, platforms.job],
)
def test_children_keep_their_component_as_parent_whatever_the_caller_passes(program: Any) -> None:
    """Options merged into the children's would move them to the caller's parent and alias."""

    def nested() -> None:
        root = pulumi.ComponentResource("millrace:test:Root", "root")
        program(opts=pulumi.ResourceOptions(parent=root, aliases=[pulumi.Alias(name="old")]))

    recording = record(nested)
    root = next(r for r in recording.components() if r.name == "root")
    children = recording.children(root)
    assert [child.custom for child in children] == [False]
    for resource in recording.children(children[0]):
        assert resource.parent == children[0].urn
