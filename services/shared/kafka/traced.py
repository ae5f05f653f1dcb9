"""What is done with messages, in the traces that they come from."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from services.contracts.envelope import TRACEPARENT
from services.shared.kafka.dead_letters import BadMessage
from services.shared.tracing import spans
from services.shared.tracing.processing import Came, processing

Handler = Callable[[Sequence[Any]], Coroutine[Any, Any, list[BadMessage]]]


def in_traces(handler: Handler, group: str) -> Handler:
    """`handler`, each call of it a span in the trace of each origin of its messages; the handler
    itself where no spans are made."""
    if not spans.on():
        return handler

    async def handle(messages: Sequence[Any]) -> list[BadMessage]:
        about = {"messaging.consumer.group.name": group}
        with processing("kafka", map(came, messages), about) as made:
            bad = await handler(messages)
            for letter in bad:
                made.refuse(came(letter.message))
        return bad

    return handle


def came(message: Any) -> Came:
    """Where a message of either client library comes from."""
    topic: Any = message.topic
    headers: Any = message.headers
    if callable(message.topic):  # librdkafka's; aiokafka's are attributes
        topic, headers = message.topic(), message.headers()
    return Came(topic, next((value for name, value in headers or () if name == TRACEPARENT), None))
