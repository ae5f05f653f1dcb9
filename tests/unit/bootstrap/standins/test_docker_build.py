from pathlib import Path

import pytest

from bootstrap.standins.docker_build import DockerBuild
from bootstrap.standins.docker_engine import host_platform, split_tag
from bootstrap.standins.values import UNKNOWN

from .conftest import Client, Properties, Serve


@pytest.fixture
def client(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Client:
    # No engine: everything here must work without one, as a preview on a bare machine does.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return serve(DockerBuild(""))


@pytest.fixture
def inputs(tmp_path: Path) -> Properties:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (tmp_path / "a").write_text("1")
    return {
        "push": True,
        "tags": ["localhost:5000/a/b:c"],
        "context": {"location": str(tmp_path)},
    }


def state(inputs: Properties) -> Properties:
    from bootstrap.standins.docker_context import read_context  # noqa: PLC0415

    made = f"{read_context(inputs).digest()}-0"
    return inputs | {"contextHash": made, "digest": "sha256:1", "ref": "x@sha256:1"}


def test_nothing_changed_is_no_difference_and_needs_no_engine(
    client: Client, inputs: Properties
) -> None:
    diff = client.diff("Image", state(inputs), inputs, inputs)
    assert diff.changes == diff.DIFF_NONE


def test_a_changed_context_updates_in_place(
    client: Client, inputs: Properties, tmp_path: Path
) -> None:
    before = state(inputs)
    (tmp_path / "a").write_text("2")
    diff = client.diff("Image", before, inputs, inputs)
    assert list(diff.diffs) == ["contextHash"]
    assert not diff.replaces


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("buildArgs", {"A": "1"}),
        ("buildArgs", {"A": UNKNOWN}),
        ("labels", {"a": "b"}),
        ("target", "build"),
        ("tags", ["localhost:5000/a/b:d"]),
        ("tags", UNKNOWN),
        ("network", "host"),
        ("push", False),
    ],
)
def test_a_changed_argument_updates_in_place(
    client: Client, inputs: Properties, name: str, value: object
) -> None:
    diff = client.diff("Image", state(inputs), inputs, inputs | {name: value})
    assert list(diff.diffs) == [name]
    assert not diff.replaces


def test_a_preview_builds_nothing(client: Client, inputs: Properties) -> None:
    made = client.create("Image", inputs | {"buildArgs": {"A": UNKNOWN}}, preview=True)
    for name in ("contextHash", "digest", "ref"):
        assert made.properties.fields[name].string_value.startswith("04da6b54")


@pytest.mark.parametrize(
    ("changed", "property_", "words"),
    [
        ({"tags": []}, "tags", "push needs a tag"),
        ({"tags": ["localhost:5000/A"]}, "tags", "without a digest"),
        ({"tags": ["a@sha256:1"]}, "tags", "without a digest"),
        ({"platforms": ["linux/s390x"]}, "platforms", host_platform()),
        ({"network": "bridge"}, "network", "default, host or none"),
        ({"context": {"location": "/nowhere"}}, "context", "no folder /nowhere"),
        ({"dockerfile": {"location": "/nowhere"}}, "dockerfile", "no file /nowhere"),
        ({"exports": [{"tar": {}}]}, "exports", "use push and tags"),
        ({"cacheFrom": [{}]}, "cacheFrom", "the engine's own cache is used"),
        ({"secrets": {"a": "b"}}, "secrets", "official pulumi-resource-docker-build"),
        ({"ssh": [{"id": "default"}]}, "ssh", "official pulumi-resource-docker-build"),
        ({"addHosts": ["a:1.2.3.4"]}, "addHosts", "official pulumi-resource-docker-build"),
        ({"builder": {"name": "x"}}, "builder", "DOCKER_HOST"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    client: Client, inputs: Properties, changed: Properties, property_: str, words: str
) -> None:
    failures = client.failures("Image", inputs | changed)
    assert list(failures) == [property_]
    assert words in failures[property_]


def test_without_an_engine_a_build_says_where_it_looked(client: Client, inputs: Properties) -> None:
    with pytest.raises(Exception, match=r"answers at unix://.*no-engine\.sock"):
        client.create("Image", inputs)


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("a", ("a", "latest")),
        ("a:1", ("a", "1")),
        ("localhost:5000/a", ("localhost:5000/a", "latest")),
        ("localhost:5000/a/b:v1", ("localhost:5000/a/b", "v1")),
    ],
)
def test_a_tag_splits_into_name_and_version(tag: str, parts: tuple[str, str]) -> None:
    assert split_tag(tag) == parts
