"""Passwords of Kafka's users. It holds two of each: one per mechanism, used in turn."""

from typing import Final

from infra.model.records import Records
from operations.rotate import passwords


def _secrets(records: Records) -> list[str]:
    return [f"kafka-{service.name}" for service in records.services if service.uses_kafka]


# Clients cannot read it again: their pods are rolled, and the update waits for that.
KIND: Final = passwords.kind("kafka", _secrets)
