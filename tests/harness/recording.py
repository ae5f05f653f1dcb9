"""Runs a Pulumi program against recording mocks and hands back everything it registered.

No engine, no CLI, no cluster. Every program gets mocks of its own, preview is off (in a preview an
unknown value skips its `apply`, and a check inside passes unseen), and the run is awaited whole:
what `build` returns is complete, so absence can be asserted too.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, rpc, settings

T = TypeVar("T")

_SIGNATURE = rpc._special_sig_key
_SECRET = rpc._special_secret_sig


@dataclass
class Registered:
    """One resource as the engine would have seen it."""

    type: str
    name: str
    urn: str
    parent: str
    """URN of the parent."""
    inputs: dict[str, Any]
    """camelCase, secrets unwrapped."""
    secret_paths: frozenset[str]
    """Dotted paths of the inputs that were marked secret."""
    protect: bool
    retained: bool
    """Left to the cluster when it is deleted from the program."""
    aliases: list[str]
    """URNs, or the names in alias specifications."""
    provider: str
    dependencies: frozenset[str]
    """URNs."""
    custom: bool
    left_alone: tuple[str, ...] = ()
    """Paths of inputs that count for a new resource only (`ignore_changes`)."""
    before_update: tuple[str, ...] = ()
    """Names of the hooks that can refuse an update; `Recording.hooks` has the functions."""
    outputs: dict[str, Any] | None = None
    """What a component registered; None when it never called `register_outputs`."""
    secret_outputs: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """Kubernetes kind, or the last part of the type."""
        return self.type.rpartition(":")[2]

    @property
    def manifest(self) -> dict[str, Any]:
        """The Kubernetes object as it would be applied."""
        assert self.type.startswith("kubernetes:"), f"{self.type} is no Kubernetes object"
        return {key: value for key, value in self.inputs.items() if value is not None}


@dataclass
class Recording:
    """Everything one program registered."""

    resources: list[Registered] = field(default_factory=list)
    hooks: dict[str, pulumi.ResourceHook] = field(default_factory=dict)

    def of(self, kind: str) -> list[Registered]:
        """All resources of a kind, in the order of their names."""
        return sorted((r for r in self.resources if r.kind == kind), key=lambda r: r.urn)

    def one(self, kind: str, name: str) -> Registered:
        """The one resource of that kind and Pulumi name."""
        found = [r for r in self.of(kind) if r.name == name]
        have = [r.name for r in self.of(kind)]
        assert len(found) == 1, f"want one {kind} {name!r}, have {have}"
        return found[0]

    def kubernetes(self) -> list[Registered]:
        return [r for r in self.resources if r.type.startswith("kubernetes:")]

    def components(self) -> list[Registered]:
        return [r for r in self.resources if r.type.startswith("millrace:")]

    def children(self, parent: Registered) -> list[Registered]:
        return [r for r in self.resources if r.parent == parent.urn]


class RecordingMocks(mocks.Mocks):
    """Answers with the outputs a real provider would compute."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        inputs, _ = unwrapped(args.inputs)
        return f"{args.name}-id", {**inputs, **_computed(args.typ, args.name, inputs)}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program called {args.token}; components must not look things up")


class RecordingMonitor(mocks.MockMonitor):
    """Sees what `Mocks` cannot: options, parents, secret marks and registered outputs."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(RecordingMocks())
        self.recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        if request.type != "pulumi:pulumi:Stack":
            urn = self.make_urn(request.parent, request.type, request.name)
            inputs, secret_paths = unwrapped(json_format.MessageToDict(request.object))
            assert not any(r.urn == urn for r in self.recording.resources), f"{urn} made twice"
            self.recording.resources.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    urn=urn,
                    parent=request.parent,
                    inputs=inputs,
                    secret_paths=secret_paths,
                    protect=request.protect,
                    retained=request.retainOnDelete,
                    aliases=[alias.urn or alias.spec.name for alias in request.aliases],
                    provider=request.provider,
                    dependencies=frozenset(request.dependencies),
                    custom=request.custom,
                    left_alone=tuple(request.ignoreChanges),
                    before_update=tuple(request.hooks.before_update),
                )
            )
        return super().RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        for resource in self.recording.resources:
            if resource.urn == request.urn:
                outputs, secret_paths = unwrapped(json_format.MessageToDict(request.outputs))
                resource.outputs, resource.secret_outputs = outputs, secret_paths
        return super().RegisterResourceOutputs(request)


class RecordingHooks:
    """In the place of the SDK's callback server, which starts for a real engine only."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        assert hook.name not in self._recording.hooks, f"hook {hook.name} made twice"
        self._recording.hooks[hook.name] = hook


def build(program: Callable[[], T]) -> tuple[Recording, T]:
    """Run the program to its end. What it raises, also inside `apply`, is raised here."""
    try:
        asyncio.get_event_loop()
    except RuntimeError:  # Pulumi asks for one, and asyncio's own runners leave none behind
        asyncio.set_event_loop(asyncio.new_event_loop())
    recording = Recording()
    monitor = RecordingMonitor(recording)
    results: list[T] = []
    # A project of its own each time: nothing of an earlier program can be mistaken for this one's.
    mocks.set_mocks(
        monitor.mocks, project=f"test-{secrets.token_hex(4)}", stack="unit", preview=False,
        monitor=monitor,
    )  # fmt: skip
    cast("Any", settings.SETTINGS).callbacks = RecordingHooks(recording)

    @pulumi.runtime.test
    def run() -> None:
        results.append(program())

    asyncio.get_event_loop().set_exception_handler(_not_again)
    run()
    return recording, results[0]


def _not_again(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Let the futures of a program that failed go without a word: its error was raised.

    Garbage is found in the midst of any later test. To log such an error parses source, and within
    an `ast.parse` of that test's own this is an error of CPython 3.11.
    """
    if not str(context.get("exception")).startswith("While processing resource: "):
        loop.default_exception_handler(context)


def record(program: Callable[[], object]) -> Recording:
    return build(program)[0]


def unwrapped(value: Any) -> tuple[Any, frozenset[str]]:
    """The value without secret wrappers, and the dotted paths where they were."""
    paths: set[str] = set()

    def walk(item: Any, path: str) -> Any:
        if isinstance(item, dict):
            if item.get(_SIGNATURE) == _SECRET:
                paths.add(path)
                return walk(item["value"], path)
            return {key: walk(part, f"{path}.{key}" if path else key) for key, part in item.items()}
        if isinstance(item, list):
            return [walk(part, f"{path}[{index}]") for index, part in enumerate(item)]
        if isinstance(item, float) and item.is_integer():
            return int(item)  # the wire knows one kind of number
        return item

    return walk(value, ""), frozenset(paths)


def secret(value: object) -> dict[str, object]:
    """As a provider sends back an output that is secret."""
    return {_SIGNATURE: _SECRET, "value": value}


def _computed(typ: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    match typ:
        case "random:index/randomPassword:RandomPassword":
            # Another password for other keepers, as the provider would make on replacement.
            text = _hex(name + str(inputs.get("keepers")))
            return {"result": secret((text * 4)[: inputs["length"]])}
        case "tls:index/privateKey:PrivateKey":
            return {
                "privateKeyPem": secret(_pem("EC PRIVATE KEY", name)),
                "privateKeyPemPkcs8": secret(_pem("PRIVATE KEY", name)),
                "publicKeyPem": _pem("PUBLIC KEY", name),
            }
        case "tls:index/certRequest:CertRequest":
            return {"certRequestPem": _pem("CERTIFICATE REQUEST", name, inputs)}
        case "tls:index/selfSignedCert:SelfSignedCert":
            return {"certPem": _pem("CERTIFICATE", name, inputs)}
        case "tls:index/locallySignedCert:LocallySignedCert":
            return {"certPem": _pem("CERTIFICATE", name, inputs)}
        case "docker-build:index:Image":
            digest = f"sha256:{_hex(repr(inputs))}"
            return {"digest": digest, "ref": f"{inputs['tags'][0]}@{digest}"}
        case _ if typ.startswith("kubernetes:"):
            metadata = dict(inputs["metadata"])
            assert metadata.get("name"), (
                f"{typ} {name} leaves its name to chance; give metadata.name"
            )
            return {"metadata": {"uid": _hex(name), "resourceVersion": "1", **metadata}}
        case _:
            return {}


def _pem(label: str, *parts: object) -> str:
    body = _hex(repr(parts))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def walk(value: Any) -> Iterator[Any]:
    """Every scalar of a nested value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)
    else:
        yield value
