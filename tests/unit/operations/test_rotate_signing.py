"""Replacing the signing key, interrupted at every step of it."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.kube import Kube
from infra.model.records import RECORDS
from infra.model.settings import AuthenticationSettings
from operations.request import FailedError
from operations.rotate import signing
from operations.rotate.kinds import chosen
from operations.rotate.rotation import rotate
from operations.rotate.stack import Stack
from services.shared.auth.settings import AuthenticationSettings as Verifiers

LIFETIME = AuthenticationSettings().token_seconds
PODS = ("auth-1", "auth-2")


class CrashError(Exception):
    """The process is gone."""


@dataclass
class World:
    """A cluster whose pods follow their Secret a while later, and services that follow those."""

    now: int = 1_000_000
    secret: dict[str, str] = field(default_factory=lambda: {"key-1.pem": "1", "active": "key-1"})
    pods: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    known: dict[str, int] = field(default_factory=dict[str, int])
    """Key to when services had it at last, at the latest."""
    signed_until: dict[str, int] = field(default_factory=dict[str, int])
    """Key to when the last token of it ends."""
    crash_at: int = -1
    calls: int = 0

    def __post_init__(self) -> None:
        self.pods = {pod: dict(self.secret) for pod in PODS}
        self.known = {"key-1": 0}

    def call(self) -> None:
        """Everything that reaches out of the process; it may be the last thing it does."""
        self.calls += 1
        if self.calls == self.crash_at:
            raise CrashError
        self.tick(1)

    def tick(self, seconds: int) -> None:
        self.now += seconds
        for kid in {pod["active"] for pod in self.pods.values()}:
            assert self.known[kid] <= self.now, f"{kid} signs, and services do not know it"
            self.signed_until[kid] = self.now + LIFETIME
        published = set.intersection(
            *({name[:-4] for name in pod if name.endswith(".pem")} for pod in self.pods.values())
        )
        for kid in published - self.known.keys():
            self.known[kid] = self.now + signing.VERIFIERS_SECONDS - 5
        for kid, until in self.signed_until.items():
            assert kid in published or until <= self.now, f"{kid} is gone before its tokens"

    def follow(self) -> None:
        """One pod more sees what the Secret holds."""
        for pod in PODS:
            if self.pods[pod] != self.secret:
                self.pods[pod] = dict(self.secret)
                return


class Cluster(Kube):
    def __init__(self, world: World) -> None:
        self._world = world

    def items(self, kind: str, namespace: str | None = None) -> list[Any]:
        self._world.call()
        volume = {"name": "keys", "secret": {"secretName": signing.SIGNING_KEYS}}
        mounted = {"name": "c", "volumeMounts": [{"name": "keys", "mountPath": "/keys"}]}
        found = [
            {
                "metadata": {"name": pod, "namespace": "apps"},
                "status": {"phase": "Running"},
                "spec": {"volumes": [volume], "containers": [mounted]},
            }
            for pod in PODS
        ]
        return found if kind == "pods" and namespace == "apps" else []

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        self._world.call()
        pods = self._world.pods
        if arguments[0] == "get":
            if "apps" not in arguments:
                return ""
            held = {k: base64.b64encode(v.encode()).decode() for k, v in self._world.secret.items()}
            about = {"creationTimestamp": "2026-01-01T00:00:00Z"}
            return json.dumps({"metadata": about, "data": held})
        if arguments[0] == "annotate":
            self._world.follow()
            return ""
        pod = pods[arguments[3]]
        if "sha256sum" in arguments:
            content = pod.get(arguments[-1].rpartition("/")[2], "")
            return f"{hashlib.sha256(content.encode()).hexdigest()}  file"
        self._world.follow()
        return json.dumps([name[:-4] for name in pod if name.endswith(".pem")])


@dataclass(frozen=True)
class Tried(Stack):
    """A stack whose file is a real one, and whose cluster is the world's."""

    world: World = field(default_factory=World)

    def change(self, changes: Mapping[str, str | int | bool | None]) -> None:
        self.world.call()
        file = self.checkout.root / f"Pulumi.{self.name}.yaml"
        document = yaml.safe_load(file.read_text())
        for path, value in changes.items():
            section, *inner = path.replace("[", ".").replace("]", "").split(".")
            _put(document["config"].setdefault(f"millrace:{section}", {}), inner, value)
        file.write_text(yaml.safe_dump(document))

    def update(self) -> None:
        self.world.call()
        said = self.authentication
        kept = {f"{kid}.pem": kid for kid in said.signing_keys}
        self.world.secret = {**kept, "active": said.active_key}

    def wait(self, what: str, missing: Callable[[], str], seconds: float) -> None:
        began = self.world.now
        while missing():
            self.world.call()
            self.world.tick(5)
            if self.world.now - began > seconds:
                raise FailedError(what)


def _put(at: Any, path: list[str], value: Any) -> None:
    """As `pulumi config set --path` and `rm --path` do it."""
    key, *rest = path
    place: Any = int(key) if key.isdecimal() else key
    if rest:
        if place not in at:
            at[place] = [] if rest[0].isdecimal() else {}
        _put(at[place], rest, value)
    elif value is None:
        del at[place]
    elif isinstance(at, list) and place == len(at):
        at.append(value)
    else:
        at[place] = value


@dataclass(frozen=True)
class Place:
    """As much of a checkout as a rotation uses."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root

    @property
    def logs(self) -> Path:
        return self.root


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tried:
    world = World()
    (tmp_path / "Pulumi.trial.yaml").write_text("config:\n  millrace:authentication: {}\n")
    monkeypatch.setattr(signing, "_now", lambda: world.now)
    checkout: Any = Place(tmp_path)
    return Tried(checkout, "trial", Cluster(world), lambda _: None, RECORDS, world)


def replaced(stack: Tried) -> None:
    rotate(stack, chosen(signing.SECRET, RECORDS))


def outcomes(stack: Tried) -> list[str]:
    lines = (stack.checkout.logs / "rotations.jsonl").read_text().splitlines()
    return [json.loads(line)["outcome"] for line in lines]


def test_a_key_is_known_before_it_signs_and_goes_when_its_last_token_has_ended(
    stack: Tried,
) -> None:
    replaced(stack)
    assert stack.authentication.signing_keys == ("key-2",)
    assert stack.authentication.active_key == "key-2"
    assert stack.rotation.signing_key.phase is None
    assert all(
        pod == {"key-2.pem": "key-2", "active": "key-2"} for pod in stack.world.pods.values()
    )
    assert outcomes(stack)[0] == "begun"
    assert outcomes(stack)[-1] == "done"


def test_the_next_one_has_the_next_number(stack: Tried) -> None:
    for _ in range(2):
        replaced(stack)
    assert stack.authentication.signing_keys == ("key-3",)


def test_interrupted_anywhere_it_is_continued_and_no_key_is_made_twice_or_dropped_early(
    stack: Tried, tmp_path: Path
) -> None:
    replaced(stack)
    calls = stack.world.calls
    assert calls > 20
    for at in range(1, calls + 1):
        root = tmp_path / f"crash-{at}"
        root.mkdir()
        (root / "Pulumi.trial.yaml").write_text("config:\n  millrace:authentication: {}\n")
        checkout: Any = Place(root)
        world = stack.world
        world.__init__(crash_at=at)  # the clock that the module reads is this world's
        again = replace(stack, checkout=checkout, kube=Cluster(world))
        with pytest.raises(CrashError):
            replaced(again)
        replaced(again)
        assert again.authentication.signing_keys == ("key-2",), f"interrupted at call {at}"
        assert outcomes(again)[-1] == "done"


def test_a_clock_that_was_set_back_does_not_make_it_wait_longer_than_once(stack: Tried) -> None:
    ahead = stack.world.now + 86_400
    stack.change(
        {
            "authentication.signingKeys[0]": "key-1",
            "authentication.signingKeys[1]": "key-2",
            "authentication.activeKey": "key-1",
            "rotation.signingKey.phase": "spreading",
            "rotation.signingKey.since": ahead,
        }
    )
    stack.update()
    stack.world.follow()
    stack.world.follow()
    replaced(stack)
    assert stack.world.now < ahead


def test_the_key_that_signs_is_never_the_one_that_goes(stack: Tried) -> None:
    stack.change(
        {
            "authentication.signingKeys[0]": "key-1",
            "authentication.signingKeys[1]": "key-2",
            "authentication.activeKey": "key-1",
            "rotation.signingKey.phase": "dropped",
        }
    )
    with pytest.raises(FailedError, match="activeKey is key-1, and not the newest"):
        replaced(stack)
    assert stack.authentication.signing_keys == ("key-1", "key-2")


def test_services_look_for_keys_as_often_as_it_is_reckoned_with() -> None:
    assert Verifiers.model_fields["refresh_seconds"].default < signing.VERIFIERS_SECONDS
