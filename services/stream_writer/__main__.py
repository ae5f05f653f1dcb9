"""python -m services.stream_writer [dead list | dead replay ID|--all | dead discard ID]"""

from __future__ import annotations

import argparse
import asyncio
import sys

import uvloop
from redis.exceptions import RedisError

from services.shared.redis.client import client
from services.shared.runtime import logging
from services.shared.runtime.settings import (
    DatabaseSettings,
    ServiceSettings,
    SettingsError,
    load,
)
from services.shared.stream.settings import StreamSettings
from services.shared.tracing.settings import TracingSettings
from services.shared.tracing.setup import traced
from services.stream_writer import dead
from services.stream_writer.settings import WriterSettings
from services.stream_writer.wiring import REDIS_SECONDS, run


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after an orderly stop or a done command, 1 with one clear line when not."""
    parser = argparse.ArgumentParser(prog="python -m services.stream_writer", description=__doc__)
    commands = parser.add_subparsers(dest="command", title="operator commands")
    letters = commands.add_parser("dead", help="look at and replay what could not be stored")
    actions = letters.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="one JSON object per dead letter")
    replay = actions.add_parser("replay", help="put a dead letter back into the stream")
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", help="the dead_letter that `list` names")
    which.add_argument("--all", action="store_true", help="every dead letter")
    actions.add_parser("discard", help="drop a dead letter for good").add_argument("id")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "dead":
            asyncio.run(_dead(arguments))
            return 0
        service = load(ServiceSettings)
        logging.configure(service.service_name, service.log_level)
        database, stream = load(DatabaseSettings), load(StreamSettings)
        settings = load(WriterSettings)
        with traced(service.service_name, load(TracingSettings)):
            uvloop.run(run(service, database, stream, settings))
    except (SettingsError, dead.NotDeadError, dead.NotDoneError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _dead(arguments: argparse.Namespace) -> None:
    redis = client(load(StreamSettings), timeout=REDIS_SECONDS)
    try:
        match arguments.action:
            case "list":
                await dead.list_dead(redis, sys.stdout)
            case "replay" if arguments.all:
                count = 0
                async for letter, entry in dead.replay_all(redis):
                    print(f"{letter}: in the stream again as {entry}")  # noqa: T201
                    count += 1
                print(f"dead letters replayed: {count}")  # noqa: T201
            case "replay":
                entry = await dead.replay(redis, arguments.id)
                print(f"{arguments.id}: in the stream again as {entry}")  # noqa: T201
            case _:
                await dead.discard(redis, arguments.id)
                print(f"{arguments.id}: is dropped")  # noqa: T201
    except (RedisError, OSError) as error:
        raise dead.NotDoneError(f"Redis did not do it: {type(error).__name__}: {error}") from error
    finally:
        await redis.aclose()


if __name__ == "__main__":
    sys.exit(main())
