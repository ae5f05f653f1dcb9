"""What is done with entries, in the traces that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

from services.shared.stream import names
from services.shared.tracing import spans
from services.shared.tracing.processing import Came, processing
from services.stream_writer.entries import Delivery

_TRACEPARENT: Final = names.FIELD_TRACEPARENT.encode()


def batch(deliveries: Sequence[Delivery]) -> AbstractContextManager[object]:
    """While it lasts the task works for all whose entries are in it and who are recorded."""
    if not spans.on():
        return spans.UNTRACED
    came = (Came(names.STREAM, one.fields.get(_TRACEPARENT)) for one in deliveries)
    return processing("redis", came, {"messaging.consumer.group.name": names.GROUP})
