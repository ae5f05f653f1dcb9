"""The ``ResourceProvider`` service, shared by the stand-ins: everything but the resource types.

Speaks secrets (declared in Handshake and Configure) and previews: in a preview what is only
known after the fact is answered as unknown, and nothing is made.
"""

import functools
import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from bootstrap.standins import server, values
from bootstrap.standins.kinds import Change, Failure, Job, Kind, Properties, StandinError

_Method = TypeVar("_Method", bound=Callable[..., Any])
# Inputs of a provider that are the engine's business.
_ENGINES_OWN = {"name", "parameterization", "pluginChecksums", "pluginDownloadURL", "version"}


def _answers(method: _Method) -> _Method:
    """Turn an exception into an error the engine shows under the resource."""

    @functools.wraps(method)
    def answered(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except StandinError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except Exception as error:
            traceback.print_exc()  # the engine keeps it for --logtostderr
            context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

    return answered  # pyright: ignore[reportReturnType]


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """A provider of ``kinds``. ``config``: names of the configuration it understands."""

    def __init__(
        self, name: str, kinds: Sequence[Kind], engine: str = "", config: Sequence[str] = ()
    ) -> None:
        self.name = name
        self._kinds: Mapping[str, Kind] = {kind.token: kind for kind in kinds}
        self._known_config = frozenset(config)
        self._engine = engine
        self._logger: Any = None
        self._speaks_secrets = True
        self._cancelled = threading.Event()

    def configured(self, config: Properties) -> None:
        """Take the provider's configuration; a stand-in with some overrides this."""

    def stop(self) -> None:
        """End what is under way."""
        self._cancelled.set()

    # -- about this provider ---------------------------------------------------------------

    def Handshake(  # noqa: N802
        self, request: pb.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> pb.ProviderHandshakeResponse:
        """Agree on capabilities."""
        self._engine = request.engine_address or self._engine
        return pb.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(  # noqa: N802
        self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """An engine takes over a provider that already runs."""
        self._engine = request.address
        self._logger = None
        return empty_pb2.Empty()

    @_answers
    def GetPluginInfo(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """The version of the SDK it stands beside."""
        return plugin_pb2.PluginInfo(version=self._version())

    @_answers
    def GetSchema(  # noqa: N802
        self, request: pb.GetSchemaRequest, context: grpc.ServicerContext
    ) -> pb.GetSchemaResponse:
        """The resource types that are served, with their inputs."""
        resources = {
            kind.token: {
                "inputProperties": {
                    name: {"type": p.shape.value} for name, p in kind.inputs.items()
                },
                "requiredInputs": [name for name, p in kind.inputs.items() if p.required],
            }
            for kind in self._kinds.values()
        }
        schema = {"name": self.name, "version": self._version(), "resources": resources}
        return pb.GetSchemaResponse(schema=json.dumps(schema))

    def Cancel(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """The user wants out."""
        self.stop()
        return empty_pb2.Empty()

    # -- configuration ---------------------------------------------------------------------

    @_answers
    def CheckConfig(  # noqa: N802
        self, request: pb.CheckRequest, context: grpc.ServicerContext
    ) -> pb.CheckResponse:
        """Refuse configuration this stand-in would silently ignore."""
        known = self._known_config | _ENGINES_OWN
        failures = [
            Failure(
                name,
                f"Millrace's stand-in for the {self.name} provider has no setting {name}: leave "
                f"it out, or put the official pulumi-resource-{self.name} on PATH",
            )
            for name in values.plain(request.news)
            if name not in known
        ]
        return pb.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(  # noqa: N802
        self, request: pb.DiffRequest, context: grpc.ServicerContext
    ) -> pb.DiffResponse:
        """No setting changes what is already made."""
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    @_answers
    def Configure(  # noqa: N802
        self, request: pb.ConfigureRequest, context: grpc.ServicerContext
    ) -> pb.ConfigureResponse:
        """Take the configuration and say what this provider can do."""
        self._speaks_secrets = request.acceptSecrets
        self.configured(values.plain(request.args))
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    # -- resources -------------------------------------------------------------------------

    @_answers
    def Check(  # noqa: N802
        self, request: pb.CheckRequest, context: grpc.ServicerContext
    ) -> pb.CheckResponse:
        """Inputs with defaults filled in, and what is wrong with them."""
        kind = self._kind(request.urn, request.type)
        inputs = values.plain(request.news)
        failures = kind.shape_failures(inputs)
        if not failures:
            failures = kind.check(kind.defaults() | _present(inputs))
        answer = pb.CheckResponse(inputs=request.news, failures=_failures(failures))
        missing = {n: v for n, v in kind.defaults().items() if inputs.get(n) is None}
        answer.inputs.MergeFrom(values.wire(missing))
        return answer

    @_answers
    def Diff(  # noqa: N802
        self, request: pb.DiffRequest, context: grpc.ServicerContext
    ) -> pb.DiffResponse:
        """What differs, property by property, and whether that takes a new resource."""
        kind = self._kind(request.urn, request.type)
        state = values.plain(request.olds)
        old = values.plain(request.old_inputs) or state
        changes = kind.changes(old, state, values.plain(request.news))
        answer = pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changes else pb.DiffResponse.DIFF_NONE,
            hasDetailedDiff=True,
        )
        for name, change in sorted(changes.items()):
            answer.diffs.append(name)
            detail = answer.detailedDiff[name]
            detail.inputDiff = name in kind.inputs
            detail.kind = pb.PropertyDiff.UPDATE
            if change is Change.REPLACE:
                answer.replaces.append(name)
                detail.kind = pb.PropertyDiff.UPDATE_REPLACE
        return answer

    @_answers
    def Create(  # noqa: N802
        self, request: pb.CreateRequest, context: grpc.ServicerContext
    ) -> pb.CreateResponse:
        """Make the resource; in a preview say which outputs are unknown until then."""
        kind = self._kind(request.urn, request.type)
        inputs = _present(values.plain(request.properties))
        secrets = values.secret_names(request.properties)
        if request.preview:
            unknown = dict.fromkeys(kind.computed, values.UNKNOWN)
            properties = self._outputs(kind, inputs | unknown, secrets)
            return pb.CreateResponse(properties=properties)
        identity, computed = kind.create(inputs, self._job(request.urn))
        properties = self._outputs(kind, inputs | computed, secrets)
        return pb.CreateResponse(id=identity, properties=properties)

    @_answers
    def Update(  # noqa: N802
        self, request: pb.UpdateRequest, context: grpc.ServicerContext
    ) -> pb.UpdateResponse:
        """Change the resource in place."""
        kind = self._kind(request.urn, request.type)
        state = values.plain(request.olds)
        inputs = _present(values.plain(request.news))
        # A value that was secret stays secret when the update merely keeps it.
        kept = {n for n in values.secret_names(request.olds) if n in kind.computed}
        secrets = values.secret_names(request.news) | kept
        if request.preview:
            changing = kind.update_changes(state, inputs)
            computed = {
                name: values.UNKNOWN if name in changing else state.get(name)
                for name in kind.computed
            }
        else:
            computed = kind.update(request.id, state, inputs, self._job(request.urn))
        return pb.UpdateResponse(properties=self._outputs(kind, inputs | computed, secrets))

    @_answers
    def Read(  # noqa: N802
        self, request: pb.ReadRequest, context: grpc.ServicerContext
    ) -> pb.ReadResponse:
        """Refresh: the state as it is now; no id says that the resource is gone."""
        kind = self._kind(request.urn, request.type)
        state = values.plain(request.properties)
        if not state:
            raise StandinError(
                f"{kind.token} {request.id!r} cannot be imported: Millrace's stand-in for the "
                f"{self.name} provider only knows what it made. Put the official "
                f"pulumi-resource-{self.name} on PATH for the import"
            )
        found = kind.read(request.id, state, self._job(request.urn))
        if found is None:
            return pb.ReadResponse()
        secrets = values.secret_names(request.properties)
        return pb.ReadResponse(
            id=request.id, properties=self._outputs(kind, found, secrets), inputs=request.inputs
        )

    @_answers
    def Delete(  # noqa: N802
        self, request: pb.DeleteRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Remove what was made outside the state."""
        kind = self._kind(request.urn, request.type)
        kind.delete(request.id, values.plain(request.properties), self._job(request.urn))
        return empty_pb2.Empty()

    # -- what a stand-in leaves to the official provider --------------------------------------

    @_answers
    def Invoke(self, request: pb.InvokeRequest, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Functions (data sources)."""
        self._not_here(f"the function {request.tok}")

    @_answers
    def Call(self, request: pb.CallRequest, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Methods of resources."""
        self._not_here(f"the method {request.tok}")

    @_answers
    def Construct(self, request: pb.ConstructRequest, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Remote components."""
        self._not_here(f"the component {request.type}")

    @_answers
    def Parameterize(  # noqa: N802
        self, request: pb.ParameterizeRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Providers of providers."""
        self._not_here("parameterization")

    def _not_here(self, what: str) -> NoReturn:
        raise StandinError(
            f"{what} is not served by Millrace's stand-in for the {self.name} provider (it "
            f"serves {', '.join(sorted(self._kinds))}): put the official "
            f"pulumi-resource-{self.name} on PATH, or do without"
        )

    # -- helpers ---------------------------------------------------------------------------

    def _kind(self, urn: str, token: str) -> Kind:
        token = token or urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
        kind = self._kinds.get(token)
        if kind is None:
            self._not_here(f"the resource type {token}")
        return kind

    def _outputs(self, kind: Kind, properties: Properties, secrets: set[str]) -> Any:
        hidden = (secrets | kind.secrets) if self._speaks_secrets else ()
        return values.wire(properties, hidden)

    def _version(self) -> str:
        return metadata.version(f"pulumi-{self.name}")

    def _job(self, urn: str) -> Job:
        def tell(text: str, *, ephemeral: bool = False, warning: bool = False) -> None:
            if not self._engine:
                return
            if self._logger is None:
                channel = grpc.insecure_channel(self._engine)
                self._logger = engine_pb2_grpc.EngineStub(channel)
            severity = engine_pb2.WARNING if warning else engine_pb2.INFO
            try:
                self._logger.Log(
                    engine_pb2.LogRequest(
                        severity=severity, message=text, urn=urn, ephemeral=ephemeral
                    )
                )
            except grpc.RpcError:
                sys.stderr.write(text + "\n")  # the engine is gone; nobody is left to tell

        return Job(urn=urn, tell=tell, cancelled=self._cancelled.is_set)


def _present(inputs: Properties) -> Properties:
    return {name: value for name, value in inputs.items() if value is not None}


def _failures(failures: Sequence[Failure]) -> list[pb.CheckFailure]:
    return [pb.CheckFailure(property=f.name, reason=f.reason) for f in failures]


def run(provider: Provider) -> None:
    """Serve ``provider`` until the engine is done."""
    server.serve(
        lambda s: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, s),
        provider.stop,
    )


def engine_address() -> str:
    """The engine passes its address as the last argument."""
    return sys.argv[-1] if len(sys.argv) > 1 else ""
