"""Real servers in containers of this test run, gone at its end whatever happens."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound

from bootstrap.checkout import find_checkout
from bootstrap.engine import read_file
from tests.integration.freezing import once_the_engine_knows
from tests.integration.ports import free_port

RUN_LABEL = "dev.millrace.test-run"
"""On every container of ours: the process id of the pytest that made it."""


class TestEnvironmentError(Exception):
    """The machine lacks what integration tests need; the message says what to do."""


@dataclass(frozen=True)
class File:
    """A file, or with `content` None a folder, put into a container before it starts."""

    content: bytes | None
    mode: int = 0o644
    uid: int = 0


@dataclass
class Container:
    """A running container and the host port of each of its ports."""

    _handle: Any
    ports: Mapping[int, int]
    _frozen: bool = False
    """By our own doing: what the engine says of it may be of a moment ago."""

    def stop(self, seconds: int = 10) -> None:
        """SIGTERM, then SIGKILL after so long; files and ports stay."""
        self._handle.stop(timeout=seconds)

    def start(self) -> None:
        self._handle.start()

    def kill(self) -> None:
        """SIGKILL, like a machine that lost power."""
        self._handle.kill()

    def remove(self) -> None:
        """Before the run's end: what one test has for itself need not wait for it."""
        _remove(self._handle)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        once_the_engine_knows(self._handle.pause)
        self._frozen = True

    def unpause(self) -> None:
        """Let it go on; nothing happens to one that is not frozen."""
        if self._frozen:
            once_the_engine_knows(self._handle.unpause)
            self._frozen = False

    def pin(self, core: int) -> None:
        """Let it run on one core alone."""
        self._handle.update(cpuset_cpus=str(core))

    def folder(self, path: str) -> Path:
        """Where a folder of its own lies on this machine, for those who may look there."""
        self._handle.reload()
        volumes = {it["Destination"]: it["Source"] for it in self._handle.attrs["Mounts"]}
        if path in volumes:
            return Path(volumes[path])
        return Path(self._handle.attrs["GraphDriver"]["Data"]["UpperDir"] + path)

    def processes(self) -> list[int]:
        """Of its processes the ids that this machine knows them by."""
        return [int(one[0]) for one in self._handle.top(ps_args="-eo pid,comm")["Processes"]]

    def execute(self, script: str, user: str = "") -> None:
        """Run a bash script in it, as its own user or another one; AssertionError with the output
        when it fails."""
        code, output = self._handle.exec_run(["bash", "-ec", script], user=user)
        assert code == 0, output.decode(errors="replace")[-3000:]

    def logs(self) -> str:
        return self._handle.logs().decode(errors="replace")

    def put(self, files: Mapping[str, File]) -> None:
        """Add files, or put others in their place, whether it runs or not."""
        self._handle.put_archive("/", _archive(files))

    def ask(self, *command: str) -> tuple[int, str]:
        """Exit code and output of a command inside; 127 when it has no such command.

        The output by way of a file: of a command that is soon done the engine, when it has much
        else to do, may lose all that it printed (of 900 that were asked on a loaded machine, 21).
        """
        said = f"/tmp/said-{uuid.uuid4().hex}"
        keep = 'said=$1; shift; exec "$@" >"$said" 2>&1'
        done = self._handle.exec_run(["sh", "-c", keep, "ask", said, *command])
        return done.exit_code, read_file(self._handle, said).decode(errors="replace")

    def exit_code(self) -> int:
        """That of its own command, once it has ended by itself."""
        return self._handle.wait(timeout=240)["StatusCode"]

    def running(self) -> bool:
        self._handle.reload()
        return self._handle.status == "running"


class Containers:
    """Makes containers and removes them in close()."""

    def __init__(self) -> None:
        self._checkout = find_checkout()
        try:
            self._engine = docker.from_env(timeout=120)
            self._engine.ping()
        except Exception as error:
            raise TestEnvironmentError(
                f"no container engine answers ({error}); `make test` starts one, or start Docker"
            ) from error
        self._mine: list[Any] = []
        self._called: dict[str, Any] = {}
        self._labels = {**self._checkout.labels, RUN_LABEL: str(os.getpid())}
        self._remove_leftovers()
        # A network of our own: nobody else's containers on it, and no need of the default bridge.
        self._network = self._engine.networks.create(
            self._checkout.name(f"test-{os.getpid()}"), driver="bridge", labels=self._labels
        )

    @property
    def engine(self) -> Any:
        return self._engine

    @property
    def labels(self) -> Mapping[str, str]:
        """What marks everything of this run."""
        return self._labels

    def image(self, name: str) -> str:
        """The reference of a catalogue image, from the file that bootstrap writes."""
        path = Path(os.environ.get("MILLRACE_IMAGES_FILE") or self._checkout.images_file)
        try:
            return json.loads(path.read_text())[name]
        except (OSError, KeyError) as error:
            raise TestEnvironmentError(
                f"{path}: no image {name!r} ({error}); run `make test`, which builds the images, "
                "or name a file of references in MILLRACE_IMAGES_FILE"
            ) from error

    def run(
        self,
        what: str,
        image: str,
        command: list[str],
        *,
        uid: int,
        ports: Iterable[int],
        files: Mapping[str, File],
        environment: Mapping[str, str] | None = None,
        host_ports: Mapping[int, int] | None = None,
        memory: str = "1g",
        on_host: bool = False,
        hostname: str | None = None,
    ) -> Container:
        """Start a container with its ports on free ports of 127.0.0.1.

        The host ports are fixed beforehand, so that they survive a stop and a start.
        `host_ports` names them where the server must know its own. `on_host`: on the host's own
        network, for servers that tell each other and the test the same addresses. `hostname`: what
        others of this run may call it, beside its own name.
        """
        self._have(image)
        self._only_one_is_called(hostname)
        chosen = {port: (host_ports or {}).get(port) or free_port() for port in ports}
        handle = self._engine.containers.create(
            image,
            entrypoint=command,
            command=[],
            name=self._checkout.name(f"test-{what}-{os.getpid()}"),
            labels=self._labels,
            network="host" if on_host else self._network.name,
            networking_config=self._endpoint(hostname),
            user=f"{uid}:{uid}",
            environment=dict(environment or {}),
            ports={}
            if on_host
            else {f"{port}/tcp": ("127.0.0.1", host) for port, host in chosen.items()},
            mem_limit=memory,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )
        self._mine.append(handle)
        if hostname is not None:
            self._called[hostname] = handle
        handle.put_archive("/", _archive(files))
        handle.start()
        return Container(handle, chosen)

    def _endpoint(self, hostname: str | None) -> Any:
        if hostname is None:
            return None
        endpoint = self._engine.api.create_endpoint_config(aliases=[hostname])
        return {self._network.name: endpoint}

    def _only_one_is_called(self, hostname: str | None) -> None:
        # The engine lets two have one name, and leads who asks for it to either.
        if hostname in self._called:
            with contextlib.suppress(NotFound):
                self._called[hostname].reload()
                raise AssertionError(f"another container of this run is called {hostname}")

    def _have(self, image: str) -> None:
        # The registry has it; the engine may have been pruned since it was built.
        try:
            self._engine.images.get(image)
        except ImageNotFound:
            self._engine.images.pull(image)

    def close(self) -> None:
        """Remove every container this object made, and their network."""
        for handle in self._mine:
            _remove(handle)
        self._mine.clear()
        with contextlib.suppress(NotFound):
            self._network.remove()

    def _remove_leftovers(self) -> None:
        # Of runs that were killed; a run that is still going keeps its own.
        filters: dict[str, Any] = {"label": [f"{k}={v}" for k, v in self._checkout.labels.items()]}
        # Others of this run that work side by side remove theirs, or the same leftovers, meanwhile.
        for handle in self._engine.containers.list(all=True, filters=filters, ignore_removed=True):
            if _abandoned(handle.labels):
                _remove(handle)
        for network in self._engine.networks.list(filters=filters):
            if _abandoned(network.attrs["Labels"]):
                with contextlib.suppress(NotFound):
                    network.remove()


def _abandoned(labels: Mapping[str, str]) -> bool:
    owner = labels.get(RUN_LABEL)
    return owner is not None and not Path(f"/proc/{owner}").exists()


def _remove(handle: Any) -> None:
    """It is gone then, whoever else of this run removes it at the same time."""
    with contextlib.suppress(NotFound):
        try:
            handle.remove(force=True, v=True)
        except APIError as error:
            if "already in progress" not in str(error.explanation):
                raise
            handle.wait(condition="removed")


def _archive(files: Mapping[str, File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, file in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode, entry.uid, entry.gid = file.mode, file.uid, file.uid
            if file.content is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = len(file.content)
                archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
