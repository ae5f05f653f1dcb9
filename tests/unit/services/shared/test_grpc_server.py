"""Beside the calls: health, reflection, spans, the certificate, ports, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.shared.grpc import errors
from services.shared.grpc.calls import Call
from services.shared.grpc.credentials import Certificate, CertificateError
from services.shared.runtime.metrics import new_registry
from tests.harness.traces import CALLER, SPAN, TRACE, parent_of, recording, span_of, trace_of
from tests.unit.services.shared.grpc_world import (
    SOON,
    TASKS,
    World,
    eventually,
    next_of,
    process,
    rest_of,
    serving,
)

HEALTH = "grpc.health.v1.Health"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(world: World, service: str = "") -> Any:
    request = health_pb2.HealthCheckRequest(service=service)
    ended = await world.call("Check", request, service=HEALTH)
    if ended.code != "OK":
        return ended.code
    return health_pb2.HealthCheckResponse.FromString(ended.response).status


async def test_health_says_what_readiness_says() -> None:
    broken = False

    async def check() -> None:
        if broken:
            raise ConnectionRefusedError

    async with serving() as world:
        world.readiness.add("database", check)
        assert await health(world) == await health(world, TASKS) == SERVING
        assert await health(world, "no.Such") == "NOT_FOUND"
        broken = True
        assert await health(world) == NOT_SERVING
        broken = False
        assert await health(world) == SERVING


def watched(world: World, service: str = "") -> Any:
    of = world.channel.unary_stream(
        f"/{HEALTH}/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return of(health_pb2.HealthCheckRequest(service=service))


async def test_who_watches_health_is_told_of_changes_and_at_once_of_a_stop() -> None:
    broken = False

    async def check() -> None:
        if broken:
            raise ConnectionRefusedError

    async with serving(settings={"health_seconds": 0.05}, drain=0.5) as world:
        world.readiness.add("database", check)
        streams = [watched(world), watched(world, TASKS)]
        unknown = watched(world, "no.Such")
        async with asyncio.timeout(SOON):
            for wanted in (SERVING, NOT_SERVING, SERVING):
                broken = wanted == NOT_SERVING
                assert [(await next_of(stream)).status for stream in streams] == [wanted] * 2
            said = await unknown.read()
            assert said.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            world.stop.set()
            assert [(await next_of(stream)).status for stream in streams] == [NOT_SERVING] * 2
            # Who has not heard of it yet is served for as long as the drain takes.
            assert (await world.call()).code == "OK"
            assert await health(world) == NOT_SERVING
            _, ended = await rest_of(streams[0])
            assert (ended.code, ended.reason) == ("UNAVAILABLE", "STOPPING")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_tells_of_services_and_their_contracts(version: str) -> None:
    async def asked() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=TASKS)
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{TASKS}.ListTasks")
        for unknown in ("no.Such", f"{TASKS}.NoSuch"):
            yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=unknown)

    async with serving() as world:
        of = world.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        told, ended = await rest_of(of(asked()))
        assert ended.code == "OK"
        names = {one.name for one in told[0].list_services_response.service}
        assert {TASKS, HEALTH, "grpc.reflection.v1.ServerReflection"} <= names
        files = b"".join(told[1].file_descriptor_response.file_descriptor_proto)
        assert b"ProcessTask" in files
        assert b"google.api" in files
        assert told[2].file_descriptor_response == told[1].file_descriptor_response
        assert len(told) == 5
        for one in told[3:]:
            assert one.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_a_call_has_a_span_below_its_callers_and_probes_have_none_of_their_own() -> None:
    async def fail(_request: Any, _call: Call) -> Any:
        raise errors.unavailable("it")

    passed_on: list[str] = []

    async def note(request: Any, call: Call) -> Any:
        passed_on.append(call.traceparent)
        return await process(request, call)

    with recording(sampling=1) as spans:
        async with serving(ProcessTask=note, GetTaskStatus=fail) as world:
            metadata = {"traceparent": CALLER, "x-correlation-id": "mine-4"}
            await world.call(metadata=metadata)
            await world.call("GetTaskStatus")
            await health(world)
        span = spans.one(f"{TASKS}/ProcessTask")
        assert (trace_of(span), parent_of(span), span.kind) == (TRACE, SPAN, SpanKind.SERVER)
        assert passed_on == [f"00-{TRACE}-{span_of(span)}-01"]
        assert span.attributes == {
            "rpc.system.name": "grpc",
            "rpc.method": f"{TASKS}/ProcessTask",
            "rpc.response.status_code": "OK",
            "millrace.correlation_id": "mine-4",
            "millrace.asked_for": True,
        }
        failed = spans.one(f"{TASKS}/GetTaskStatus")
        assert failed.status.status_code is StatusCode.ERROR
        assert len(spans.all) == 2


class Mounted:
    """A certificate and its key, as a Secret is mounted: both change at once, by a link."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self._folder = folder
        self._authority = authority
        self._count = 0
        self.certificate, self.key = folder / "now" / "tls.crt", folder / "now" / "tls.key"
        self.renew()

    def renew(self) -> None:
        issued = self._authority.issue_cert("localhost")
        key = issued.private_key_pem.bytes()
        self.put(b"".join(one.bytes() for one in issued.cert_chain_pems), key)

    def put(self, certificate: bytes, key: bytes) -> None:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        (folder / "tls.crt").write_bytes(certificate)
        (folder / "tls.key").write_bytes(key)
        link = self._folder / "next"
        link.symlink_to(folder)
        link.replace(self._folder / "now")

    @property
    def settings(self) -> dict[str, Any]:
        return {"tls": "required", "certificate_file": self.certificate, "key_file": self.key}


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def mounted(tmp_path: Path, authority: trustme.CA) -> Mounted:
    return Mounted(tmp_path, authority)


def trusting(authority: trustme.CA) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes())


async def code_with(port: int, credentials: grpc.ChannelCredentials) -> str:
    """How a call over a connection of its own ends."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options) as channel:
        call = channel.unary_unary(f"/{TASKS}/ProcessTask")(b"", timeout=SOON)
        return (await call.code()).name


async def test_a_renewed_certificate_is_shown_without_a_restart(
    mounted: Mounted, authority: trustme.CA
) -> None:
    async with serving(settings=mounted.settings, credentials=trusting(authority)) as world:
        assert (await world.call()).code == "OK"
        assert await code_with(world.server.port, trusting(authority)) == "OK"
        other = trustme.CA()
        mounted._authority = other
        with capture_logs() as lines:
            mounted.renew()
            assert await code_with(world.server.port, trusting(other)) == "OK"
            assert await code_with(world.server.port, trusting(other)) == "OK"
        assert [one["event"] for one in lines].count("certificate_changed") == 1
        assert await code_with(world.server.port, trusting(authority)) == "UNAVAILABLE"
        # Who was connected before is not disturbed.
        assert (await world.call()).code == "OK"


async def test_a_certificate_that_cannot_be_shown_leaves_the_one_before(
    mounted: Mounted, authority: trustme.CA
) -> None:
    async with serving(settings=mounted.settings, credentials=trusting(authority)) as world:
        good = mounted.certificate.read_bytes()
        foreign = trustme.CA().issue_cert("localhost").private_key_pem.bytes()
        for certificate, key in ((b"none", b"none"), (good, foreign), (good, b"")):
            with capture_logs() as lines:
                mounted.put(certificate, key)
                assert await code_with(world.server.port, trusting(authority)) == "OK"
            assert "PRIVATE KEY" not in repr(lines)
        mounted.renew()
        with capture_logs() as lines:
            assert await code_with(world.server.port, trusting(authority)) == "OK"
        assert "certificate_changed" in [line["event"] for line in lines]


def test_a_certificate_that_is_not_there_is_refused_at_the_start(
    mounted: Mounted, tmp_path: Path
) -> None:
    with pytest.raises(CertificateError, match="No such file"):
        Certificate("svc", tmp_path / "missing", mounted.key)
    with pytest.raises(CertificateError, match="must hold a certificate and its key"):
        Certificate("svc", mounted.key, mounted.key)


def test_the_end_of_the_certificate_is_a_metric(mounted: Mounted) -> None:
    Certificate("svc-of-a-test", mounted.certificate, mounted.key)
    end = new_registry().get_sample_value(
        "tls_certificate_expiry_timestamp_seconds", {"certificate": "svc-of-a-test"}
    )
    assert end is not None
    assert end > 1_700_000_000


async def test_a_port_that_is_taken_is_an_error_and_not_shared() -> None:
    async with serving() as world:
        with pytest.raises(RuntimeError, match=f"{world.server.port}"):
            async with serving(settings={"port": world.server.port}):
                pass
        assert (await world.call()).code == "OK"


async def test_a_server_whose_task_is_cancelled_leaves_nothing_behind() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def for_ever(_request: Any, _call: Call) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return tasks_pb2.ListTasksResponse()

    async with serving(ListTasks=for_ever) as world:
        call = asyncio.create_task(world.call("ListTasks"))
        await begun.wait()
        world.serving.cancel()
        await eventually(world.serving.done)
        assert ended.is_set()
        assert (await call).code in ("UNAVAILABLE", "CANCELLED")
