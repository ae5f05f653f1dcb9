"""python -m services.outbox_relay [parked list | parked retry KEY|--all | parked discard KEY]"""

from __future__ import annotations

import argparse
import asyncio
import sys

from prometheus_client import CollectorRegistry

from services.outbox_relay import parked
from services.outbox_relay.settings import RelaySettings
from services.outbox_relay.wiring import run
from services.shared.postgres.database import Database, DatabaseUnavailableError
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


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after an orderly stop or a done command, 1 with one clear line when not."""
    parser = argparse.ArgumentParser(prog="python -m services.outbox_relay", description=__doc__)
    commands = parser.add_subparsers(dest="command", title="operator commands")
    keys = commands.add_parser("parked", help="look at and free keys that were set aside")
    actions = keys.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="one JSON object per parked key")
    retry = actions.add_parser("retry", help="publish the dead event and those behind it again")
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("key", nargs="?")
    which.add_argument("--all", action="store_true", help="every parked key")
    actions.add_parser(
        "discard", help="skip the dead event for good and publish those behind it"
    ).add_argument("key")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "parked":
            return asyncio.run(_parked(arguments))
        service = load(ServiceSettings)
        logging.configure(service.service_name, service.log_level)
        database, kafka = load(DatabaseSettings), load(KafkaSettings)
        settings = load(RelaySettings)
        with traced(service.service_name, load(TracingSettings)):
            asyncio.run(run(service, database, kafka, settings))
    except (SettingsError, DatabaseUnavailableError, parked.NotParkedError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _parked(arguments: argparse.Namespace) -> int:
    database = Database(
        load(DatabaseSettings), CollectorRegistry(), application_name="outbox-relay-parked"
    )
    await database.open()
    try:
        match arguments.action:
            case "list":
                await parked.list_parked(database, sys.stdout)
            case "retry" if arguments.all:
                freed = await parked.retry_all(database)
                for key, event_id in freed.items():
                    print(f"{key}: event {event_id} will be published again")  # noqa: T201
                print(f"keys freed: {len(freed)}")  # noqa: T201
            case "retry":
                event_id = await parked.retry(database, arguments.key)
                print(f"{arguments.key}: event {event_id} will be published again")  # noqa: T201
            case _:
                event_id = await parked.discard(database, arguments.key)
                print(f"{arguments.key}: event {event_id} is skipped")  # noqa: T201
    finally:
        await database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
