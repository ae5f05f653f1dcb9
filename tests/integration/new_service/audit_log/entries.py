"""An entry per event, once however often it is delivered."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Message
from pydantic_settings import SettingsConfigDict

from services.contracts.envelope import BadEventError, Envelope, parse
from services.shared.kafka.dead_letters import BadMessage
from services.shared.kafka.group import BatchSettings
from services.shared.postgres.database import Database
from services.shared.wiring.consumer import Means, Work

_STORE = """
INSERT INTO entries (event_id, resource_id, event_type, correlation_id)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (event_id) DO NOTHING
"""


class AuditSettings(BatchSettings):
    """How much is written at once."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_")


class AuditLog:
    """Entries in auditdb."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, messages: Sequence[Message]) -> list[BadMessage]:
        """Write an entry for each message that is an event, and return the others."""
        good: list[Envelope] = []
        bad: list[BadMessage] = []
        for message in messages:
            try:
                good.append(_envelope(message))
            except BadEventError as error:
                bad.append(BadMessage(message, str(error)))
        async with self._database.connection() as connection:
            await connection.execute(
                _STORE,
                [event.id for event in good],
                [event.aggregate_id for event in good],
                [event.type for event in good],
                [event.correlation_id for event in good],
            )
        return bad


def _envelope(message: Message) -> Envelope:
    topic, key = str(message.topic()), message.key()
    value, headers = message.value(), message.headers()
    return parse(topic, key, value, headers)[0]  # pyright: ignore[reportArgumentType]


def work(means: Means) -> Work:
    """Store every event; there is nothing to do beside."""
    return Work(AuditLog(means.database).store)
