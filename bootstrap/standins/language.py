"""Stand-in for Pulumi's Python language host (``pulumi-language-python``).

Serves the parts of ``LanguageRuntime`` that running programs and policy packs takes. Code
generation, packing and linking belong to authoring SDKs and are answered with the way out.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2 as pb
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

from bootstrap.standins import interpreter as python
from bootstrap.standins import server
from bootstrap.standins.children import Children, environment_of
from bootstrap.standins.launchers import plugin_folder
from bootstrap.standins.run_program import ALREADY_REPORTED

_RUNNER = Path(__file__).with_name("run_program.py")


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """One per engine; ``engine`` is the address at which the engine takes log messages."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._children = Children()

    def stop(self) -> None:
        """End every program and plugin started here."""
        self._children.stop()

    # -- about this host ------------------------------------------------------------------

    def Handshake(  # noqa: N802
        self, request: pb.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> pb.LanguageHandshakeResponse:
        """Learn the engine's address when the engine attaches to a running host."""
        self._engine = request.engine_address or self._engine
        return pb.LanguageHandshakeResponse()

    def GetPluginInfo(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """No version: the official host reports none of its own either, it ships with the CLI."""
        return plugin_pb2.PluginInfo()

    def Cancel(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """The user wants out: end what runs."""
        self._children.stop()
        return empty_pb2.Empty()

    def RuntimeOptionsPrompts(  # noqa: N802
        self, request: pb.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> pb.RuntimeOptionsResponse:
        """`pulumi new` asks nothing about the toolchain: Pulumi.yaml or uv.lock says it."""
        return pb.RuntimeOptionsResponse()

    # -- about a program ------------------------------------------------------------------

    def About(  # noqa: N802
        self, request: pb.AboutRequest, context: grpc.ServicerContext
    ) -> pb.AboutResponse:
        """The interpreter the program would run in."""
        found = _interpreter(request.info, context)
        return pb.AboutResponse(executable=str(found.python), version=python.version(found))

    def GetProgramDependencies(  # noqa: N802
        self, request: pb.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> pb.GetProgramDependenciesResponse:
        """Installed distributions; without the transitive ones when not asked for them."""
        found = python.installed(_interpreter(request.info, context))
        names = found if request.transitiveDependencies else python.top_level(found)
        return pb.GetProgramDependenciesResponse(
            dependencies=[
                pb.DependencyInfo(name=name, version=found[name]["version"])
                for name in sorted(names)
            ]
        )

    def GetRequiredPackages(  # noqa: N802
        self, request: pb.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> pb.GetRequiredPackagesResponse:
        """The plugins of the installed SDKs, as far as they are here.

        The CLI takes a plugin from PATH or its cache, but downloads one that is in neither,
        even for an SDK that is installed and never used: naming only those that are here keeps
        it from trying. One that is used and missing it still asks for by itself.
        """
        packages = [
            plugin_pb2.PackageDependency(
                name=item["name"], kind="resource", version=item["version"], server=item["server"]
            )
            for item in _required(request.info, context)
        ]
        return pb.GetRequiredPackagesResponse(packages=packages)

    def GetRequiredPlugins(  # noqa: N802
        self, request: pb.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> pb.GetRequiredPluginsResponse:
        """The older form of ``GetRequiredPackages``."""
        plugins = [
            plugin_pb2.PluginDependency(
                name=item["name"], kind="resource", version=item["version"], server=item["server"]
            )
            for item in _required(request.info, context)
        ]
        return pb.GetRequiredPluginsResponse(plugins=plugins)

    def InstallDependencies(  # noqa: N802
        self, request: pb.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.InstallDependenciesResponse]:
        """`pulumi install`: uv's project is synchronised; other environments are left alone."""
        program = Path(request.info.program_directory or request.directory)
        uv = shutil.which("uv")
        project = python.uv_project(program)
        if project is None or uv is None:
            lack = "uv is not on PATH" if project else f"no uv.lock in or above {program}"
            yield pb.InstallDependenciesResponse(
                stdout=f"{lack}: nothing installed, the environment is used as it is\n".encode()
            )
            return
        for output, data in self._stream([uv, "sync"], project, dict(os.environ), context):
            if output == "exit":
                if data:
                    _fail(context, f"`uv sync` in {project} ended with exit code {data}")
            elif output == "stdout":
                yield pb.InstallDependenciesResponse(stdout=data)
            else:
                yield pb.InstallDependenciesResponse(stderr=data)

    # -- running --------------------------------------------------------------------------

    def Run(  # noqa: N802
        self, request: pb.RunRequest, context: grpc.ServicerContext
    ) -> pb.RunResponse:
        """Run the program to its end in an interpreter of its own.

        Its output is ours: the engine shows what a language host prints.
        """
        found = _interpreter(request.info, context)
        root = request.info.root_directory or request.pwd
        folder = request.pwd or request.info.program_directory
        call = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "stack": request.stack,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "organization": request.organization or "organization",
            "root_directory": root,
            "pwd": folder,
            "program": request.info.entry_point or request.program or ".",
            "args": list(request.args),
        }
        environment = found.activated(os.environ) | {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            # What must outlive this machine refuses to be made here (infra/stack/protection.py).
            "MILLRACE_STANDINS": "1",
        }
        # -P: the program must not find this host's own modules beside the runner.
        command = [found.python, "-u", "-P", _RUNNER, json.dumps(call)]
        try:
            child = self._children.start(command, cwd=Path(folder), env=environment)
        except (OSError, RuntimeError) as error:
            return pb.RunResponse(error=f"{found.python} cannot be started: {error}")
        context.add_callback(lambda: self._children.end(child))
        code = self._children.finished(child)
        if code == ALREADY_REPORTED or self._children.stopped or not context.is_active():
            return pb.RunResponse(bail=True)
        if code < 0:
            return pb.RunResponse(error=f"Program was ended by signal {-code}")
        if code:
            return pb.RunResponse(error=f"Program exited with non-zero exit code: {code}")
        return pb.RunResponse()

    def RunPlugin(  # noqa: N802
        self, request: pb.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.RunPluginResponse]:
        """Start a policy pack (or another plugin written in Python) and pass its streams on."""
        found = _interpreter(request.info, context)
        program = Path(request.info.program_directory or request.program)
        main = program / "__main__.py"
        if not main.is_file():
            _fail(context, f"the plugin in {program} has no __main__.py to start")
        command = [found.python, "-u", main, *request.args]
        environment = found.activated(environment_of(request.env))
        for output, data in self._stream(command, Path(request.pwd), environment, context):
            if output == "exit":
                yield pb.RunPluginResponse(exitcode=data)
            elif output == "stdout":
                yield pb.RunPluginResponse(stdout=data)
            else:
                yield pb.RunPluginResponse(stderr=data)

    def _stream(
        self,
        command: list[str | Path],
        cwd: Path,
        environment: dict[str, str],
        context: grpc.ServicerContext,
    ) -> Iterator[tuple[str, Any]]:
        """("stdout" | "stderr", bytes) as they come, then ("exit", code)."""
        try:
            child = self._children.start(
                command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except (OSError, RuntimeError) as error:
            _fail(context, f"{command[0]} cannot be started: {error}")
        context.add_callback(lambda: self._children.end(child))
        pieces: SimpleQueue[tuple[str, bytes]] = SimpleQueue()

        def pump(name: str, stream: IO[bytes]) -> None:
            while data := os.read(stream.fileno(), 65536):
                pieces.put((name, data))
            pieces.put((name, b""))

        for name, stream in (("stdout", child.stdout), ("stderr", child.stderr)):
            assert stream is not None
            threading.Thread(target=pump, args=(name, stream), daemon=True).start()
        still_open = 2
        while still_open:
            name, data = pieces.get()
            if data:
                yield name, data
            else:
                still_open -= 1
        yield "exit", self._children.finished(child)

    # -- what a stand-in leaves to the official host -----------------------------------------

    def GenerateProgram(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Converting programs is not for a stand-in."""
        _not_here(context, "converting a program to Python")

    def GenerateProject(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Generating projects is not for a stand-in."""
        _not_here(context, "generating a project")

    def GeneratePackage(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Generating SDKs is not for a stand-in."""
        _not_here(context, "generating an SDK")

    def Pack(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Packing SDKs is not for a stand-in."""
        _not_here(context, "packing an SDK")

    def Link(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Linking local SDKs is not for a stand-in."""
        _not_here(context, "linking a local SDK")


def _interpreter(info: pb.ProgramInfo, context: grpc.ServicerContext) -> python.Interpreter:
    options = json_format.MessageToDict(info.options)
    try:
        return python.find_interpreter(
            options, Path(info.root_directory), Path(info.program_directory)
        )
    except ValueError as error:
        _fail(context, str(error))


def _required(info: pb.ProgramInfo, context: grpc.ServicerContext) -> list[dict[str, str]]:
    declared = python.plugin_declarations(_interpreter(info, context))
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    return [
        item
        for item in declared
        if shutil.which(f"pulumi-resource-{item['name']}")
        or plugin_folder(home, item["name"], item["version"]).is_dir()
    ]


def _fail(context: grpc.ServicerContext, reason: str) -> NoReturn:
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)
    raise AssertionError("abort raises")


def _not_here(context: grpc.ServicerContext, what: str) -> NoReturn:
    context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        f"{what} needs the official Python language host; this is Millrace's stand-in. Put the "
        "official pulumi-language-python first on PATH and try again",
    )
    raise AssertionError("abort raises")


def main() -> None:
    """Serve until the engine is done. The last argument is the engine's address."""
    host = LanguageHost(engine=sys.argv[-1] if len(sys.argv) > 1 else "")
    server.serve(
        lambda s: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, s), host.stop
    )


if __name__ == "__main__":
    main()
