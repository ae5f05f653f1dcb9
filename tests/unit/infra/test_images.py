"""The image catalogue, its lock file, and `make pin`."""

import json
import re
from pathlib import Path

import pytest

from components.kit.references import ImageError, check_reference
from infra.images import pin
from infra.images.catalogue import Catalogue, LockedImage, read_lock
from infra.images.own import BACKUPS, LOADTESTS, REPOSITORY_ROOT, SERVICES, OwnImage
from infra.model.images import IMAGE_NAMES, OWN_IMAGES

DIGEST = "sha256:" + "ab" * 32


def images_file(folder: Path, text: str) -> Path:
    path = folder / "images.json"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "reference",
    [
        "redis:8.2.10-bookworm",
        "localhost:30500/millrace/redis:8.2.10",
        "r.example/millrace/services:src-0a1b2c3d4e5f",
        "r.example/team/image:20261121",
        "postgres:20261121",
        "localhost:30500/redis:20261121",
        f"redis@{DIGEST}",
        f"registry.example:5000/a/b/c:1.2.3@{DIGEST}",
    ],
)
def test_an_exact_reference_is_accepted(reference: str):
    assert check_reference(reference) == reference


@pytest.mark.parametrize(
    "reference",
    [
        *(
            "redis",
            "redis:latest",
            "redis:stable-slim",
            "postgres:17-trixie",
            "python:3-alpine3.22",
        ),
        *("team/image:v1", "localhost:30500/redis", "redis@sha256:12", "a b:1.2.3", "", ":1.2.3"),
    ],
)
def test_a_reference_that_is_not_exact_is_refused(reference: str):
    with pytest.raises(ImageError):
        check_reference(reference)


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ("redis:latest", "the tag 'latest' moves"),
        ("postgres:17-trixie", "the tag '17-trixie' moves"),
        ("redis", "neither digest nor tag"),
    ],
)
def test_a_reference_that_moves_is_refused_with_what_moves_in_it(reference: str, fault: str):
    with pytest.raises(ImageError, match=f"{fault}; name a digest .* or an exact tag, like"):
        check_reference(reference)


def test_a_digest_outweighs_any_tag():
    assert check_reference(f"redis:latest@{DIGEST}")


def test_every_image_but_our_own_has_an_official_reference():
    assert set(read_lock()) == set(IMAGE_NAMES) - set(OWN_IMAGES)
    for image in read_lock().values():
        check_reference(image.reference)


def test_an_official_reference_carries_the_digest_once_it_is_pinned():
    lock = {"redis": LockedImage(repository="redis", tag="8.2.10", digest=DIGEST)}
    assert Catalogue("official", {}, lock=lock).reference("redis") == f"redis:8.2.10@{DIGEST}"


@pytest.mark.parametrize(
    ("repository", "tag"),
    [("redis", "8.2"), ("postgres", "17-trixie"), ("python", "3.13-slim-trixie")],
)
def test_a_lock_file_whose_tag_moves_with_the_next_release_is_refused(
    tmp_path: Path, repository: str, tag: str
):
    row = {"repository": repository, "tag": tag, "digest": DIGEST}
    path = images_file(tmp_path, json.dumps({"some": row}))
    with pytest.raises(ValueError, match=rf"{repository}:{tag} moves on .* name one release"):
        read_lock(path)


@pytest.mark.parametrize("made", [SERVICES, LOADTESTS, *BACKUPS.values()])
def test_a_dockerfile_has_no_images_of_its_own_to_fall_behind_the_lock_file(made: OwnImage):
    text = (REPOSITORY_ROOT / made.dockerfile).read_text()
    stages = re.findall(r"^FROM +\S+ +AS +(\S+)", text, re.MULTILINE)
    images = set(re.findall(r"^FROM +(\S+)", text, re.MULTILINE)) - set(stages)
    assert images == {f"${{{argument}}}" for argument in made.bases}
    assert set(re.findall(r"^ARG +(\w+)", text, re.MULTILINE)) == set(made.bases)


def test_a_local_image_comes_from_the_machines_file(tmp_path: Path):
    path = images_file(tmp_path, json.dumps({"redis": f"localhost:1/redis@{DIGEST}"}))
    assert Catalogue("local", {}, path).reference("redis") == f"localhost:1/redis@{DIGEST}"


@pytest.mark.parametrize("source", ["official", "local"])
def test_an_override_wins_over_every_source(source: str):
    assert Catalogue(source, {"redis": "mine/redis:1.2.3"}).reference("redis") == "mine/redis:1.2.3"


def test_local_images_without_a_file_name_the_variable_and_the_command():
    with pytest.raises(ImageError, match=r"MILLRACE_IMAGES_FILE is not set.*make up"):
        Catalogue("local", {}).reference("redis")


def test_a_missing_images_file_is_named(tmp_path: Path):
    with pytest.raises(ImageError, match=r"images\.json .* does not exist"):
        Catalogue("local", {}, tmp_path / "images.json").reference("redis")


@pytest.mark.parametrize("text", ["{", "[]", '{"redis": 1}', '{"redis": "redis:latest"}'])
def test_a_broken_images_file_is_refused(tmp_path: Path, text: str):
    with pytest.raises(ImageError):
        Catalogue("local", {}, images_file(tmp_path, text)).reference("redis")


def test_an_image_the_machine_did_not_build_is_named_with_both_ways_out(tmp_path: Path):
    with pytest.raises(ImageError, match=r"no image 'kafka'.*make up.*overrides\.kafka"):
        Catalogue("local", {}, images_file(tmp_path, "{}")).reference("kafka")


def test_pinning_fills_in_every_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "lock.json"
    pin.write_lock(read_lock(), path)
    assert pin.main(lambda _repository, _tag: DIGEST, path) == 0
    assert all(image.digest == DIGEST for image in read_lock(path).values())
    redis = read_lock(path)["redis"]
    assert redis.reference.endswith(f"@{DIGEST}")
    assert f"{redis.reference} (pinned)" in capsys.readouterr().out


def test_pinning_writes_nothing_when_one_image_cannot_be_resolved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "lock.json"
    pin.write_lock(read_lock(), path)
    before = path.read_bytes()

    def resolve(repository: str, tag: str) -> str:
        if repository == "redis":
            raise pin.PinError(f"{repository}:{tag}: the registry gives no digest")
        return DIGEST

    assert pin.main(resolve, path) == 1
    assert path.read_bytes() == before
    assert "redis:" in capsys.readouterr().err


def test_an_answer_that_is_no_digest_is_refused():
    with pytest.raises(pin.PinError, match="no digest"):
        pin.pin(read_lock(), lambda _repository, _tag: "sha256:short")


def test_no_container_engine_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(pin.PinError, match="no container engine answers"):
        pin.ask_registry("redis", "8.0")


def test_the_committed_lock_file_is_written_as_pin_writes_it(tmp_path: Path):
    pin.write_lock(read_lock(), tmp_path / "lock.json")
    assert read_lock(tmp_path / "lock.json") == read_lock()
