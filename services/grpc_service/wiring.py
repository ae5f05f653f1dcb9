"""What the service does: tasks of events and for callers, run, told of and tended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from services.contracts.ids import new_id
from services.grpc_service.api import task_service
from services.grpc_service.changes import Changes
from services.grpc_service.effect import TasksOfEvents, to_record
from services.grpc_service.metrics import TaskMetrics
from services.grpc_service.running import Runner
from services.grpc_service.settings import TaskRetentionSettings, TaskSettings
from services.grpc_service.slots import Slots
from services.grpc_service.store import TaskStore
from services.grpc_service.upkeep import keep_forgetting, watch_open
from services.grpc_service.watching import Watch
from services.shared.auth.settings import AuthenticationSettings
from services.shared.auth.wiring import guarded
from services.shared.grpc.server import GrpcServer
from services.shared.grpc.settings import GrpcSettings
from services.shared.inbox.consumed import Consumed
from services.shared.inbox.gaps import Gaps, keep_closing_gaps
from services.shared.inbox.processing import Processor
from services.shared.inbox.store import Inbox
from services.shared.kafka.group import GroupSettings
from services.shared.limits.wiring import LimitMeans, limited
from services.shared.outbox.events import Outbox
from services.shared.outbox.wake import Wake
from services.shared.runtime.breaker import BreakerMetrics
from services.shared.runtime.settings import RedisSettings
from services.shared.wiring.consumer import Means, Work


@dataclass(frozen=True, slots=True)
class Told:
    """What the service is told beside what every consumer is."""

    group: GroupSettings
    tasks: TaskSettings
    retention: TaskRetentionSettings
    grpc: GrpcSettings
    authentication: AuthenticationSettings
    limits: LimitMeans
    redis: RedisSettings
    """Where all pods tell how often clients called."""


def work(means: Means, told: Told) -> Work:
    """Make tasks of events; run them, answer by gRPC, and tend the tables."""
    settings, database = told.tasks, means.database
    metrics = TaskMetrics(means.registry)
    outbox = Outbox(database)
    store = TaskStore(database, outbox, metrics)
    inbox = Inbox(database, TasksOfEvents(metrics), settings.gap_deadline_seconds)
    processor = Processor(inbox, metrics, to_record)
    gaps = Gaps(processor, inbox, Consumed(means.observer, told.group.topics), metrics)
    changed = Wake()
    wake = Wake(changed)
    watch = Watch(Changes(database), changed, settings)

    async def run_tasks(stop: asyncio.Event) -> None:
        slots = Slots(
            settings.concurrency, metrics.restarts, piece_seconds=settings.time_limit_seconds
        )
        # Unique per process: whoever comes back under a pod's name holds nothing of who had it.
        owner = f"{means.service.service_name}/{new_id()[-12:]}"
        try:
            await Runner(store, slots, wake, settings, metrics, owner=owner).run(stop)
        finally:
            await slots.close()

    async def answer(stop: asyncio.Event) -> None:
        watching = asyncio.create_task(watch.run(stop))
        try:
            name, registry = means.service.service_name, means.registry
            async with (
                guarded(told.authentication, registry) as guard,
                limited(told.limits, told.redis, name, registry, BreakerMetrics(registry)) as limit,
            ):
                server = GrpcServer(
                    [task_service(store, watch, settings)],
                    told.grpc,
                    means.service,
                    readiness=means.readiness,
                    registry=registry,
                    guard=guard,
                    limit=limit,
                )
                await server.serve(stop)
        finally:
            watching.cancel()
            await asyncio.wait({watching})
            await outbox.close()

    return Work(
        processor.process,
        beside=(
            partial(keep_closing_gaps, gaps, metrics, settings.gap_check_seconds),
            partial(wake.listen, database),
            partial(
                keep_forgetting,
                store,
                inbox,
                metrics,
                days=told.retention.days,
                every=settings.upkeep_seconds,
            ),
            partial(watch_open, store, metrics, settings.look_seconds),
        ),
        to_its_end=(run_tasks, answer),
        on_stop=wake.set,
    )
