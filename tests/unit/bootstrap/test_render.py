"""The rendered manifests are held against the strict schemas of the pinned Kubernetes version."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.render import documents, validate
from bootstrap.steps import StepFailed
from bootstrap.tools import KUBERNETES_VERSION

CONFIG_MAP: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "apps"},
    "data": {"key": "text"},
}


def written(folder: Path, *manifests: object) -> Path:
    for number, manifest in enumerate(manifests):
        path = folder / "1-manifest" / f"m{number}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(manifest))
    return folder


def test_valid_manifests_are_counted(tmp_path: Path):
    assert validate(written(tmp_path, CONFIG_MAP, CONFIG_MAP)) == 2


def test_the_schemas_are_those_of_the_pinned_version():
    assert KUBERNETES_VERSION.startswith("1.36.")


def test_a_field_kubernetes_does_not_know_is_refused_by_file_and_place(tmp_path: Path):
    bad = CONFIG_MAP | {"dat": {"key": "text"}}
    with pytest.raises(StepFailed, match=r"m0\.yaml: \(top\): breaks the schema's"):
        validate(written(tmp_path, bad))


def test_a_wrong_type_is_refused_without_showing_the_value(tmp_path: Path):
    bad = CONFIG_MAP | {"kind": "Secret", "data": {"password": ["hunter2"]}}
    with pytest.raises(StepFailed, match=r"data\.password") as raised:
        validate(written(tmp_path, bad))
    assert "hunter2" not in str(raised.value)


def test_an_object_of_no_known_kind_is_refused(tmp_path: Path):
    with pytest.raises(StepFailed, match=r"m0\.yaml: Couldn't find schema for kind Gadget"):
        validate(written(tmp_path, CONFIG_MAP | {"kind": "Gadget"}))


def test_every_problem_is_listed(tmp_path: Path):
    bad = CONFIG_MAP | {"dat": {}}
    with pytest.raises(StepFailed) as raised:
        validate(written(tmp_path, bad, CONFIG_MAP, bad))
    assert "m0.yaml" in str(raised.value)
    assert "m1.yaml" not in str(raised.value)
    assert "m2.yaml" in str(raised.value)


def test_an_empty_rendering_is_a_failure(tmp_path: Path):
    with pytest.raises(StepFailed, match="nothing was rendered"):
        validate(tmp_path)


@pytest.mark.parametrize("text", ["a: [", "- 1", "key: value"])
def test_what_is_no_manifest_is_named(tmp_path: Path, text: str):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(StepFailed, match=r"odd\.yaml"):
        list(documents(tmp_path))
