"""Servers that echo a small task by gRPC; `python -m tests.bench.grpc_servers KIND LOOP` runs one.

It says on standard output where it listens, once it does.
"""

# ruff: noqa: T201

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import uvloop
from prometheus_client import CollectorRegistry

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.contracts.scopes import TASKS_READ, TASKS_WRITE
from services.shared.auth.settings import AuthenticationSettings
from services.shared.auth.wiring import guarded
from services.shared.grpc.calls import Call
from services.shared.grpc.methods import Method, Service
from services.shared.grpc.server import GrpcServer
from services.shared.grpc.settings import GrpcSettings
from services.shared.http.health import Readiness
from services.shared.runtime import logging
from services.shared.runtime.settings import ServiceSettings

DESCRIPTOR = tasks_pb2.DESCRIPTOR.services_by_name["TaskService"]
PATH = f"/{DESCRIPTOR.full_name}/ProcessTask"
_THREADS = 8


def echoed(request: Any) -> Any:
    """What is answered."""
    task = tasks_pb2.Task(
        id="01a209da-cb84-71ee-8696-3a42920e154b",
        resource_id=request.resource_id,
        action=request.action,
        status=tasks_pb2.TASK_STATUS_PENDING,
    )
    return tasks_pb2.ProcessTaskResponse(task=task)


def _handlers(handler: Any) -> Any:
    of_method = grpc.unary_unary_rpc_method_handler(
        handler,
        tasks_pb2.ProcessTaskRequest.FromString,
        tasks_pb2.ProcessTaskResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(DESCRIPTOR.full_name, {"ProcessTask": of_method})


async def _bare() -> None:
    async def handler(request: Any, _context: Any) -> Any:
        return echoed(request)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([_handlers(handler)])
    _listening(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await asyncio.Event().wait()


def _sync() -> None:
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers([_handlers(lambda request, _context: echoed(request))])
    _listening(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    time.sleep(1e6)


async def _ours() -> None:
    async def process(request: Any, _call: Call) -> Any:
        return echoed(request)

    async def other(_request: Any, _call: Call) -> Any:
        raise NotImplementedError

    async def watch(_request: Any, _call: Call) -> AsyncIterator[Any]:
        yield tasks_pb2.WatchTasksResponse()

    logging.configure("bench")
    registry = CollectorRegistry()
    methods = [
        Method("ProcessTask", process, TASKS_WRITE),
        Method("GetTaskStatus", other, TASKS_READ),
        Method("ListTasks", other, TASKS_READ),
        Method("WatchTasks", watch, TASKS_READ),
    ]
    async with guarded(AuthenticationSettings(), registry) as guard:
        server = GrpcServer(
            [Service(DESCRIPTOR, methods)],
            GrpcSettings(tls="off", host="127.0.0.1", port=0),
            ServiceSettings(service_name="bench"),
            readiness=Readiness(registry),
            registry=registry,
            guard=guard,
        )
        await server.start()
        _listening(server.port)
        await server.serve(asyncio.Event())


def _listening(port: int) -> None:
    print(f"PORT {port}", flush=True)


def main(kind: str, loop: str) -> None:
    """Until the process is ended."""
    if kind == "sync":
        _sync()
        return
    side = {"bare": _bare, "ours": _ours}[kind]()
    if loop == "uvloop":
        uvloop.run(side)
    else:
        asyncio.run(side)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
