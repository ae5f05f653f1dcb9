"""Calls by gRPC are held to the same tokens as requests over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.rpc import error_details_pb2
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.contracts.scopes import TASKS_READ, TASKS_WRITE
from services.shared.auth import keys as fetching
from services.shared.auth.guard import TokenGuard
from services.shared.auth.keys import Keys
from services.shared.grpc.calls import Call
from services.shared.runtime import context
from tests.harness.issuer import Issuer
from tests.unit.services.shared.grpc_world import OK, SOON, World, get, process, rest_of, serving
from tests.unit.services.shared.hostile_tokens import HOSTILE

SENDABLE = [kind for kind in HOSTILE if kind != "noise"]
"""gRPC's own client refuses to send the rest."""


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@asynccontextmanager
async def guarded(issuer: Issuer, **more: Any) -> AsyncIterator[tuple[World, CollectorRegistry]]:
    registry = CollectorRegistry()
    with pytest.MonkeyPatch.context() as patch:
        # Without keys all are refused, and a busy machine may take seconds to fetch them.
        patch.setattr(fetching, "FETCH_SECONDS", 30.0)
        keys = Keys(issuer.jwks_url, apart=0.05)
        fresh = asyncio.create_task(keys.keep_fresh(0.05))
        async with serving(guard=TokenGuard(issuer.settings, keys, registry), **more) as world:
            yield world, registry
        fresh.cancel()


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_a_token_of_the_scope_is_taken_and_remembered_and_names_the_client(
    issuer: Issuer,
) -> None:
    clients: list[Any] = []

    async def note(request: Any, call: Call) -> Any:
        bound: dict[str, Any] = {}
        context.add_ids(None, "", bound)
        clients.append(bound.get("client_id"))
        return await process(request, call)

    async with guarded(issuer, ProcessTask=note) as (world, registry):
        metadata = bearing(issuer.token(TASKS_WRITE))
        for _ in range(3):
            assert (await world.call(metadata=metadata)).code == OK
        for by, times in {"signature": 1, "memory": 2}.items():
            assert registry.get_sample_value("auth_tokens_accepted_total", {"by": by}) == times
        assert clients == ["tester"] * 3


@pytest.mark.parametrize("kind", SENDABLE)
async def test_a_hostile_token_is_unauthenticated_and_nothing_is_done(
    issuer: Issuer, kind: str
) -> None:
    called: list[Any] = []

    async def note(request: Any, call: Call) -> Any:
        called.append(request)
        return await process(request, call)

    reason, make = HOSTILE[kind]
    async with guarded(issuer, ProcessTask=note) as (world, registry):
        for _ in range(2):
            ended = await world.call(metadata=bearing(make(issuer)))
            assert (ended.code, ended.reason) == ("UNAUTHENTICATED", "INVALID_TOKEN")
        assert registry.get_sample_value("auth_tokens_refused_total", {"reason": reason}) == 2
        assert world.handled("ProcessTask", "UNAUTHENTICATED") == 2
    assert called == []


async def test_who_shows_no_token_is_told_where_to_get_one(issuer: Issuer) -> None:
    async with guarded(issuer) as (world, _):
        for metadata in ({}, {"authorization": "Basic YTpi"}, {"authorization": ""}):
            ended = await world.call(metadata=metadata)
            assert (ended.code, ended.reason) == ("UNAUTHENTICATED", "NO_TOKEN")
            assert "http://issuer.example/oauth/token" in ended.message


async def test_several_tokens_are_none(issuer: Issuer) -> None:
    async with guarded(issuer) as (world, _):
        token = f"Bearer {issuer.token(TASKS_WRITE)}"
        metadata = (("authorization", token), ("x-correlation-id", "a"), ("authorization", token))
        call = world.unary("ProcessTask")(b"", metadata=metadata)
        assert (await call.code()).name == "UNAUTHENTICATED"


async def test_a_token_for_something_else_is_told_the_scope_it_lacks(issuer: Issuer) -> None:
    async with guarded(issuer) as (world, _):
        with capture_logs() as lines:
            ended = await world.call(metadata=bearing(issuer.token(TASKS_READ)))
        assert (ended.code, ended.reason) == ("PERMISSION_DENIED", "INSUFFICIENT_SCOPE")
        info = ended.detail(error_details_pb2.ErrorInfo)
        assert dict(info.metadata) == {"scope": TASKS_WRITE}
        assert [line["code"] for line in lines if line["event"] == "call"] == ["PERMISSION_DENIED"]
        read = bearing(issuer.token(TASKS_READ))
        assert (await world.call("ListTasks", metadata=read)).code == OK


async def test_a_stream_takes_a_token_before_it_is_open(issuer: Issuer) -> None:
    async with guarded(issuer) as (world, _):
        told, ended = await rest_of(world.watching())
        assert (told, ended.code, ended.reason) == ([], "UNAUTHENTICATED", "NO_TOKEN")
        stream = world.watching(metadata=bearing(issuer.token(TASKS_READ)))
        told, ended = await rest_of(stream)
        assert (len(told), ended.code) == (3, OK)


async def test_without_keys_nobody_can_be_judged_and_is_told_when_to_come_again() -> None:
    with Issuer() as issuer:
        issuer.stop()
        async with guarded(issuer) as (world, _):
            metadata = bearing(issuer.token(TASKS_WRITE))
            ended = await world.call(metadata=metadata)
            assert (ended.code, ended.reason) == ("UNAVAILABLE", "NO_KEYS")
            assert ended.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 2
            issuer.start()
            async with asyncio.timeout(SOON):
                while (await world.call(metadata=metadata)).code != OK:
                    await asyncio.sleep(0.02)


async def test_health_and_reflection_ask_for_no_token(issuer: Issuer) -> None:
    async with guarded(issuer, GetTaskStatus=get) as (world, _):
        health = await world.call(service="grpc.health.v1.Health", method="Check", request=b"")
        assert health.code == OK
        name = "grpc.reflection.v1.ServerReflection"
        asked: Any = world.channel.stream_stream(f"/{name}/ServerReflectionInfo")(
            iter([b"\x3a\x00"])
        )
        assert b"millrace.tasks.v1.TaskService" in await asked.read()
