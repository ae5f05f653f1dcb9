"""The container engine, as far as building, pushing and looking images up takes it."""

import os
import platform
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from bootstrap.standins.docker_context import BuildContext
from bootstrap.standins.kinds import Job, StandinError

_TAIL = 20
_BUILD_TIMEOUT_SECONDS = 3600
_END = object()
# What the classic builder says about itself, between the lines of the step.
_CHATTER = re.compile(r"^ ---> |^Removing intermediate container |^$")
# How it names the image that a step made or began with (the others are containers).
_LAYER = re.compile(r"^ ---> ([0-9a-f]{12})$")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Built(NamedTuple):
    """A finished build: the image's id, and the ids (short) of all steps, in their order."""

    image: str
    layers: list[str]


def host_platform() -> str:
    """The only platform the classic builder makes images for."""
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


class Engine:
    """One engine, over its API. ``logins``: registry address to user name and password."""

    def __init__(self, host: str | None = None, logins: Mapping[str, Any] | None = None) -> None:
        import docker  # noqa: PLC0415 (half the start-up time of a provider)
        import docker.errors  # noqa: PLC0415

        self._errors: Any = docker.errors
        self._where = host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        self._logins = dict(logins or {})
        environment = dict(os.environ)
        if host:
            environment["DOCKER_HOST"] = host
        try:
            client: Any = docker.from_env(
                environment=environment, timeout=_BUILD_TIMEOUT_SECONDS, version="auto"
            )
        except self._errors.DockerException as error:
            raise StandinError(
                f"no container engine answers at {self._where} ({error}): start it, or say "
                "where it is in DOCKER_HOST. `make doctor` shows what this machine has"
            ) from error
        self._api: Any = client.api

    def build(
        self,
        context: BuildContext,
        job: Job,
        *,
        build_args: Mapping[str, str],
        labels: Mapping[str, str],
        target: str | None,
        network: str | None,
        no_cache: bool,
        pull: bool,
    ) -> Built:
        """Build; a failed build leaves neither container nor tag."""
        with tempfile.TemporaryFile() as archive:
            context.write(archive)
            archive.seek(0)
            try:
                lines = self._api.build(
                    fileobj=archive,
                    custom_context=True,
                    dockerfile=context.dockerfile,
                    buildargs=dict(build_args),
                    labels=dict(labels),
                    target=target or "",
                    network_mode=network,
                    nocache=no_cache,
                    pull=pull,
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
                return self._follow_build(lines, job)
            except self._errors.APIError as error:
                raise StandinError(f"the build cannot start: {error.explanation}") from error

    def _follow_build(self, lines: Iterator[dict[str, Any]], job: Job) -> Built:
        step = ""
        layers: list[str] = []
        since_step: list[str] = []
        image = ""
        for entry in _while_wanted(lines, job):
            text = str(entry.get("stream") or entry.get("status") or "").rstrip()
            if text.startswith("Step "):
                step, since_step = text, []
            elif "stream" in entry:
                since_step += [line for line in text.splitlines() if not _CHATTER.match(line)]
            if text:
                job.tell(text, ephemeral=True)
            if layer := _LAYER.match(text):
                layers.append(layer[1])
            aux: Any = entry.get("aux")
            image = str((aux and aux.get("ID")) or image)
            if "error" in entry:
                tail = [f"  {line}" for line in since_step[-_TAIL:]]
                told = [f"the build failed at {step or 'its start'}", *tail, str(entry["error"])]
                raise StandinError("\n".join(told))
        if not image:
            raise StandinError("the engine ended the build without an image and without an error")
        return Built(image, layers)

    def publish(self, image: str, tags: Sequence[str], push: bool, job: Job) -> str | None:
        """Tag ``image`` and push every tag: the digest in the registry, None without push.

        When a push fails, tags point again to where they did before.
        """
        before = {tag: self.image_id(tag) for tag in tags}
        digest: str | None = None
        try:
            for tag in tags:
                self._api.tag(image, *split_tag(tag))
            for tag in tags if push else ():
                digest = self._push(tag, job)
        except BaseException:
            for tag, old in before.items():
                if old:
                    self._api.tag(old, *split_tag(tag))
                else:
                    self.untag(tag)
            raise
        return digest

    def _push(self, tag: str, job: Job) -> str:
        repository, name = split_tag(tag)
        login = self._logins.get(repository.split("/")[0])
        digest = ""
        told: set[str] = set()
        try:
            lines = self._api.push(repository, name, stream=True, decode=True, auth_config=login)
            for entry in _while_wanted(lines, job):
                if "error" in entry:
                    raise StandinError(f"{tag} cannot be pushed: {entry['error']}")
                text = " ".join(str(entry[k]) for k in ("id", "status") if k in entry)
                if text and text not in told:  # the engine repeats it for every piece sent
                    told.add(text)
                    job.tell(text, ephemeral=True)
                aux: Any = entry.get("aux")
                digest = str((aux and aux.get("Digest")) or digest)
        except self._errors.APIError as error:
            raise StandinError(f"{tag} cannot be pushed: {error.explanation}") from error
        if not digest:
            raise StandinError(f"the registry took {tag} but named no digest for it")
        return digest

    def image_id(self, reference: str) -> str | None:
        """The id of a local image, None when there is none."""
        try:
            return self._api.inspect_image(reference)["Id"]
        except self._errors.NotFound:
            return None

    def base_digest(self, reference: str) -> str | None:
        """What ``reference`` stands for now, None when nobody here can say."""
        if "@" in reference:
            return reference.split("@")[1]
        try:
            local = self._api.inspect_image(reference)
        except self._errors.NotFound:
            try:
                return self._api.inspect_distribution(reference)["Descriptor"]["digest"]
            except self._errors.APIError:
                return None
        repository = split_tag(reference)[0]
        digests = [d.split("@") for d in local.get("RepoDigests") or ()]
        return next((d for name, d in digests if name == repository), local["Id"])

    def in_registry(self, reference: str) -> bool | None:
        """Whether a registry still has ``reference``; None when it does not answer."""
        login = self._logins.get(reference.split("/", maxsplit=1)[0])
        try:
            self._api.inspect_distribution(reference, auth_config=login)
        except self._errors.APIError as error:
            text = str(error.explanation or "").lower()
            gone = ("manifest unknown", "name unknown", "not found")
            return False if any(words in text for words in gone) else None
        return True

    def untag(self, reference: str) -> None:
        """Take a tag or digest off; the image goes with its last one, its parents stay as cache."""
        try:
            self._api.remove_image(reference, noprune=True)
        except self._errors.APIError:
            return  # gone already, or in use by a container: the tag is not worth a failure

    def forget_layers(self, layers: Sequence[str]) -> None:
        """Remove those of a former build's layers that nothing is called after or built upon."""
        for layer in reversed(layers):  # each before the one it is built upon
            try:
                if not self._api.inspect_image(layer)["RepoTags"]:
                    self._api.remove_image(layer, noprune=True)
            except self._errors.APIError:
                continue  # gone already, or something else is built upon it or runs on it


def split_tag(tag: str) -> tuple[str, str]:
    """(name with registry, version), the version being ``latest`` when none is given."""
    name, _, version = tag.rpartition(":")
    return (name, version) if name and "/" not in version else (tag, "latest")


def _while_wanted(lines: Iterator[Any], job: Job) -> Iterator[Any]:
    """``lines`` as they come, but leave as soon as the user wants out.

    The reading thread stays behind with the connection; when this process ends, the connection
    does, and with it the engine's work.
    """
    received: SimpleQueue[Any] = SimpleQueue()

    def read() -> None:
        try:
            for line in lines:
                received.put(line)
            received.put(_END)
        except BaseException as error:
            received.put(error)

    threading.Thread(target=read, daemon=True).start()
    take: Callable[[], Any] = lambda: received.get(timeout=0.2)  # noqa: E731
    while True:
        try:
            line = take()
        except Empty:
            if job.cancelled():
                raise StandinError("cancelled") from None
            continue
        if line is _END:
            return
        if isinstance(line, BaseException):
            raise line
        yield line
