"""A consuming service made of the library alone: settings, a handler and one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic_settings import SettingsConfigDict

from services.shared.kafka.dead_letters import BadMessage
from services.shared.kafka.group import BatchSettings, GroupSettings
from services.shared.runtime.settings import (
    DatabaseSettings,
    KafkaSettings,
    ServiceSettings,
    load,
)
from services.shared.wiring.consumer import Means, Work, consume


class OwnSettings(BatchSettings):
    model_config = SettingsConfigDict(env_prefix="SEEN_")


def work(means: Means) -> Work:
    async def handle(messages: Sequence[Any]) -> list[BadMessage]:
        good = [m.value().decode() for m in messages if m.value() != b"bad"]
        await means.database.fetch("INSERT INTO seen SELECT unnest($1::text[])", good)
        return [BadMessage(m, "is bad") for m in messages if m.value() == b"bad"]

    return Work(handle)


if __name__ == "__main__":
    asyncio.run(
        consume(
            work,
            service=load(ServiceSettings),
            database=load(DatabaseSettings),
            kafka=load(KafkaSettings),
            group=load(GroupSettings),
            batches=load(OwnSettings),
        )
    )
