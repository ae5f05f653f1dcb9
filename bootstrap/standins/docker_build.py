"""Stand-in for the docker-build provider (``pulumi-resource-docker-build``).

Builds over the Docker Engine API with the classic builder, which is what Debian's engine has.
An image is built again when its context, Dockerfile, arguments or base images change, or when
the registry has lost it. Nothing is built in a preview, whatever ``buildOnPreview`` says.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bootstrap.standins.docker_context import BuildContext, location_failure, read_context
from bootstrap.standins.docker_engine import Engine, host_platform, split_tag
from bootstrap.standins.dockerfile_bases import base_images
from bootstrap.standins.kinds import (
    Change,
    Failure,
    Job,
    Kind,
    Properties,
    Property,
    Shape,
    StandinError,
)
from bootstrap.standins.provider import Provider, engine_address, run
from bootstrap.standins.values import has_unknown

_TAG = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9._/-]+(?::[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?"
)
_OUTPUTS = ("contextHash", "digest", "ref")


def _served(shape: Shape, *, required: bool = False, default: Any = None) -> Property:
    return Property(shape, required=required, default=default, change=Change.UPDATE)


def _refused(name: str, shape: Shape, instead: str) -> Property:
    text = (
        f"{name} needs BuildKit, which Millrace's stand-in for docker-build does not use: "
        f"{instead}, or put the official pulumi-resource-docker-build on PATH"
    )
    return Property(shape, change=Change.UPDATE, refusal=text)


class Image(Kind):
    """An image built from a Dockerfile, tagged, and pushed when asked to."""

    token = "docker-build:index:Image"  # noqa: S105
    inputs: Mapping[str, Property] = {
        "push": _served(Shape.BOOLEAN, required=True),
        "buildArgs": _served(Shape.OBJECT),
        "buildOnPreview": _served(Shape.BOOLEAN),
        "context": _served(Shape.OBJECT),
        "dockerfile": _served(Shape.OBJECT),
        "labels": _served(Shape.OBJECT),
        "load": _served(Shape.BOOLEAN),  # the classic builder always leaves it in the engine
        "network": _served(Shape.STRING, default="default"),
        "noCache": _served(Shape.BOOLEAN),
        "platforms": _served(Shape.ARRAY),
        "pull": _served(Shape.BOOLEAN),
        "registries": _served(Shape.ARRAY),
        "tags": _served(Shape.ARRAY),
        "target": _served(Shape.STRING),
        "addHosts": _refused("addHosts", Shape.ARRAY, "name the host in DNS"),
        "builder": _refused("builder", Shape.OBJECT, "leave it out and set DOCKER_HOST"),
        "cacheFrom": _refused("cacheFrom", Shape.ARRAY, "the engine's own cache is used"),
        "cacheTo": _refused("cacheTo", Shape.ARRAY, "the engine's own cache is used"),
        "exec": _refused("exec", Shape.BOOLEAN, "leave it out"),
        "exports": _refused("exports", Shape.ARRAY, "use push and tags"),
        "ignoreSecretsInDiffCalculation": _refused(
            "ignoreSecretsInDiffCalculation", Shape.ARRAY, "leave it out"
        ),
        "secrets": _refused("secrets", Shape.OBJECT, "fetch what needs them before the build"),
        "ssh": _refused("ssh", Shape.ARRAY, "fetch what needs it before the build"),
    }
    computed = _OUTPUTS

    def __init__(self) -> None:
        self.host: str | None = None
        self.registries: Sequence[Mapping[str, Any]] = ()

    def check(self, inputs: Properties) -> list[Failure]:
        failures = [
            Failure(name, f"{name} is {inputs.get(name)!r}; {reason}")
            for name, reason in _check_values(inputs)
        ]
        if not has_unknown(inputs.get("context")) and not has_unknown(inputs.get("dockerfile")):
            found = location_failure(inputs)
            if found is not None:
                failures.append(Failure(*found))
        return failures

    def further_changes(self, state: Properties, inputs: Properties) -> dict[str, Change]:
        if has_unknown([inputs.get(name) for name in ("context", "dockerfile", "buildArgs")]):
            return {}  # the arguments themselves already count as changed
        context = read_context(inputs)
        former, _, former_bases = str(state.get("contextHash")).partition("-")
        if context.digest() != former:
            return {"contextHash": Change.UPDATE}
        try:
            engine = self._engine(inputs)
        except StandinError:
            return {}  # a preview does not need an engine; an update says what is wrong
        bases = _bases(engine, context, inputs)
        if bases and former_bases and bases != former_bases:
            return {"contextHash": Change.UPDATE}
        if _missing(engine, state):
            return {"digest": Change.UPDATE}
        return {}

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        return job.urn.rsplit("::", 1)[-1], self._build(inputs, job)

    def update(self, identity: str, state: Properties, inputs: Properties, job: Job) -> Properties:
        outputs = self._build(inputs, job)
        engine = self._engine(inputs)
        former = engine.image_id(_name(state))
        if former is not None and outputs["digest"] != state.get("digest"):
            # Nothing here needs the former image any more.
            _take_tags_off(engine, former, state, keep=inputs.get("tags") or ())
            if state.get("push"):
                engine.untag(_name(state))
        # What the new build used as well stays as cache for the next; the rest would never be
        # used again, some hundred megabytes for every change of a source file.
        engine.forget_layers(
            [it for it in state.get("layers") or () if it not in outputs["layers"]]
        )
        return outputs

    def update_changes(self, state: Properties, inputs: Properties) -> set[str]:
        return set(_OUTPUTS)

    def read(self, identity: str, state: Properties, job: Job) -> Properties | None:
        missing = _missing(self._engine(state), state)
        if missing is None:
            job.tell(f"the registry of {state.get('ref')} does not answer", warning=True)
        return None if missing else state

    def delete(self, identity: str, state: Properties, job: Job) -> None:
        """Take our tags off in the engine; what was pushed may be in use and stays."""
        try:
            engine = self._engine(state)
        except StandinError:
            return  # an engine that is gone holds no tags
        ours = engine.image_id(_name(state))
        if ours is not None:
            _take_tags_off(engine, ours, state)

    def _build(self, inputs: Properties, job: Job) -> Properties:
        context = read_context(inputs)
        # Taken before the build: what changes while it runs must make the next one.
        digest = context.digest()
        engine = self._engine(inputs)
        tags: list[str] = inputs.get("tags") or []
        network = inputs.get("network")
        image, layers = engine.build(
            context,
            job,
            build_args=inputs.get("buildArgs") or {},
            labels=inputs.get("labels") or {},
            target=inputs.get("target"),
            network=None if network == "default" else network,
            no_cache=bool(inputs.get("noCache")),
            pull=bool(inputs.get("pull")),
        )
        pushed = engine.publish(image, tags, bool(inputs["push"]), job)
        bases = _bases(engine, context, inputs)
        job.tell(f"built {image}" + (f", pushed as {pushed}" if pushed else ""), ephemeral=True)
        ref = f"{tags[0]}@{pushed}" if pushed else tags[0] if tags else image
        return {
            "contextHash": f"{digest}-{bases}",
            "digest": pushed or image,
            "ref": ref,
            "layers": layers,  # for the next update alone; the official provider has no such output
        }

    def _engine(self, inputs: Properties) -> Engine:
        given: Any = [*self.registries, *(inputs.get("registries") or [])]
        logins = {
            r["address"]: {"username": r.get("username"), "password": r.get("password")}
            for r in given
        }
        return Engine(self.host, logins)


def _check_values(inputs: Properties) -> list[tuple[str, str]]:
    """(property, reason) for values that cannot be served."""
    found: list[tuple[str, str]] = []
    tags: Any = inputs.get("tags")
    if inputs["push"] is True and not tags:
        found.append(("tags", "push needs a tag that names the registry to push to"))
    if not has_unknown(tags) and not all(_TAG.fullmatch(tag) for tag in tags or ()):
        found.append(("tags", "a tag reads [registry[:port]/]name[:version], without a digest"))
    platforms: Any = inputs.get("platforms") or []
    if not has_unknown(platforms) and any(p != host_platform() for p in platforms):
        found.append(
            (
                "platforms",
                f"this stand-in builds for {host_platform()} only, the machine it runs on: name "
                "that or leave platforms out",
            )
        )
    if inputs["network"] not in ("default", "host", "none") and not has_unknown(inputs["network"]):
        found.append(("network", "it takes default, host or none"))
    context: Any = inputs.get("context") or {}
    if not has_unknown(context) and context.get("named"):
        found.append(("context", "named contexts need BuildKit: copy from one folder"))
    return found


def _bases(engine: Engine, context: BuildContext, inputs: Properties) -> str:
    """What the base images are now, in short; empty when that cannot be known."""
    import hashlib  # noqa: PLC0415

    arguments: Any = inputs.get("buildArgs") or {}
    digests = [engine.base_digest(ref) for ref in base_images(context.instructions, arguments)]
    if None in digests:
        return ""
    return hashlib.sha256(" ".join(map(str, digests)).encode()).hexdigest()[:16]


def _name(state: Properties) -> str:
    """What the image is called for good: ``registry/name@digest`` when pushed, else its id."""
    if not state.get("push"):
        return str(state["digest"])
    tag: str = state["tags"][0]
    return f"{split_tag(tag)[0]}@{state['digest']}"


def _take_tags_off(engine: Engine, image: str, state: Properties, keep: Sequence[str] = ()) -> None:
    """Remove the tags of ``state`` that still name ``image``."""
    for tag in state.get("tags") or ():
        if tag not in keep and engine.image_id(tag) == image:
            engine.untag(tag)


def _missing(engine: Engine, state: Properties) -> bool | None:
    """Whether the image is gone from where it was put; None when that cannot be known."""
    ref, digest = state.get("ref"), state.get("digest")
    if not isinstance(ref, str) or not isinstance(digest, str):
        return True
    if state.get("push"):
        present = engine.in_registry(_name(state))
        return None if present is None else not present
    return engine.image_id(digest) is None


class DockerBuild(Provider):
    """The provider with its settings: where the engine is, and logins for registries."""

    def __init__(self, engine: str) -> None:
        self._image = Image()
        super().__init__("docker-build", [self._image], engine, config=("host", "registries"))

    def configured(self, config: Properties) -> None:
        """Take the engine's address and the logins."""
        self._image.host = config.get("host") or None
        self._image.registries = config.get("registries") or ()


def main() -> None:
    """Serve until the engine is done."""
    run(DockerBuild(engine_address()))


if __name__ == "__main__":
    main()
