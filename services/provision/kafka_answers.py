"""Waiting for what the administration client promises."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaException

REQUEST_SECONDS = 30.0
T = TypeVar("T")


def answers(futures: Mapping[Any, Future[T]], tolerate: int | None = None) -> dict[Any, T]:
    """Wait for every answer of one request. Raises the first KafkaException among them."""
    found: dict[Any, T] = {}
    for thing, future in futures.items():
        try:
            found[thing] = future.result()
        except KafkaException as error:
            if error.args[0].code() != tolerate:
                raise
    return found
