"""python -m services.grpc_service"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from services.grpc_service.settings import TaskRetentionSettings, TaskSettings
from services.grpc_service.wiring import Told, work
from services.shared.auth.settings import AuthenticationSettings
from services.shared.grpc.settings import GrpcSettings
from services.shared.kafka.group import GroupSettings
from services.shared.limits.settings import RateLimitSettings
from services.shared.limits.wiring import LimitMeans
from services.shared.runtime import logging
from services.shared.runtime.settings import (
    BreakerSettings,
    DatabaseSettings,
    KafkaSettings,
    RedisSettings,
    ServiceSettings,
    SettingsError,
    load,
)
from services.shared.tracing.settings import TracingSettings
from services.shared.tracing.setup import traced
from services.shared.wiring.consumer import consume


def main() -> int:
    """Exit code 0 after an orderly stop, 1 with one line per variable when not configured."""
    try:
        service = load(ServiceSettings)
        logging.configure(service.service_name, service.log_level)
        database, kafka = load(DatabaseSettings), load(KafkaSettings)
        told = Told(
            load(GroupSettings),
            load(TaskSettings),
            load(TaskRetentionSettings),
            load(GrpcSettings),
            load(AuthenticationSettings),
            LimitMeans(load(RateLimitSettings), load(BreakerSettings)),
            load(RedisSettings),
        )
        with traced(service.service_name, load(TracingSettings)):
            asyncio.run(
                consume(
                    partial(work, told=told),
                    service=service,
                    database=database,
                    kafka=kafka,
                    group=told.group,
                    batches=told.tasks,
                )
            )
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
