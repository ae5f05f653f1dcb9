"""python -m services.async_writer"""

from __future__ import annotations

import sys

import uvloop

from services.async_writer.settings import AsyncWriterSettings
from services.async_writer.wiring import run
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


def main() -> int:
    """Exit code 0 after an orderly stop, 1 with one line per variable when not configured."""
    try:
        service = load(ServiceSettings)
        logging.configure(service.service_name, service.log_level)
        database, kafka = load(DatabaseSettings), load(KafkaSettings)
        group, settings = load(GroupSettings), load(AsyncWriterSettings)
        with traced(service.service_name, load(TracingSettings)):
            uvloop.run(run(service, database, kafka, group, settings))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
