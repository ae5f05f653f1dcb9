"""python -m services.event_worker"""

from __future__ import annotations

import asyncio
import sys

from services.event_worker.service import run
from services.event_worker.settings import GroupSettings, RetentionSettings, WorkerSettings
from services.shared.runtime import logging
from services.shared.runtime.settings import (
    DatabaseSettings,
    KafkaSettings,
    ServiceSettings,
    SettingsError,
    load,
)


def main() -> int:
    """Exit code 0 after an orderly stop, 1 with one line per variable when not configured."""
    try:
        service = load(ServiceSettings)
        logging.configure(service.service_name, service.log_level)
        asyncio.run(
            run(
                service,
                load(DatabaseSettings),
                load(KafkaSettings),
                load(GroupSettings),
                load(WorkerSettings),
                retention=load(RetentionSettings),
            )
        )
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
