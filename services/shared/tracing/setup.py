"""Turns spans on for a process, if it was told where they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.shared.runtime import context
from services.shared.tracing import spans
from services.shared.tracing.settings import TracingSettings


@contextmanager
def traced(service: str, settings: TracingSettings) -> Iterator[None]:
    """Make spans, and send them, for as long as it lasts; nothing at all without an endpoint.

    Neither needs the collector to begin nor waits for it longer than the settings have it to end.
    """
    if settings.endpoint is None:
        yield
        return
    # What is off must not cost memory, nor a fifth of a second at the start.
    from services.shared.tracing.export import Pipeline  # noqa: PLC0415
    from services.shared.tracing.making import Maker  # noqa: PLC0415

    pipeline = Pipeline(service, settings)
    spans.use(Maker(pipeline.provider.get_tracer("millrace")))
    context.sample(settings.sampling)
    try:
        yield
    finally:
        context.sample(0)
        spans.use(None)
        pipeline.close()
