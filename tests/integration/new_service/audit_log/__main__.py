"""python -m services.audit_log"""

from __future__ import annotations

import asyncio
import sys

from services.audit_log.entries import AuditSettings, work
from services.shared.kafka.group import GroupSettings
from services.shared.runtime import logging
from services.shared.runtime.settings import (
    DatabaseSettings,
    KafkaSettings,
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
        with traced(service.service_name, load(TracingSettings)):
            asyncio.run(
                consume(
                    work,
                    service=service,
                    database=load(DatabaseSettings),
                    kafka=load(KafkaSettings),
                    group=load(GroupSettings),
                    batches=load(AuditSettings),
                )
            )
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
