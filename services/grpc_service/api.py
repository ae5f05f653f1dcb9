"""The methods of millrace.tasks.v1.TaskService."""

from __future__ import annotations

from services.grpc_service.settings import TaskSettings
from services.grpc_service.store import TaskStore
from services.grpc_service.watching import Watch
from services.shared.grpc.methods import Service


def task_service(store: TaskStore, watch: Watch, settings: TaskSettings) -> Service:
    """As a server takes it. `watch` has to run for streams and waits to be told anything."""
    raise NotImplementedError
