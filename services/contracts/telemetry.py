"""A point that a device measured, as it travels on `telemetry.points`; the key is the device.

No event and no envelope: nobody reacts to a single point, and the newest value of a key is all that
is kept, so a point needs no id of its own to be delivered twice without harm.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

MAX_DEVICE_ID: Final = 64
MAX_METRIC: Final = 100
"""Characters, all of them ASCII: the widths of the columns."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""What the column of times can hold, and a window around it."""
MAX_VERSION: Final = 2**63 - 1  # bigint


def _in_range(value: datetime) -> datetime:
    # Compared first: at the ends of the range turning it into UTC is an error of another kind.
    if not EARLIEST <= value < LATEST:
        raise ValueError("is not between the years 1970 and 9999")
    return value.astimezone(UTC)


DeviceId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_DEVICE_ID,
        pattern="^[A-Za-z0-9][A-Za-z0-9._:@/-]*$",
        description="The device; also the message's key.",
    ),
]
Metric = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_METRIC,
        pattern="^[A-Za-z_][A-Za-z0-9._:/-]*$",
        description="What was measured.",
    ),
]
Moment = Annotated[
    AwareDatetime,
    AfterValidator(_in_range),
    Field(description="When it was measured: RFC 3339 with an offset, kept to the microsecond."),
]
Value = Annotated[
    float, Field(strict=True, allow_inf_nan=False, description="A finite number (binary64).")
]
Version = Annotated[
    int,
    Field(
        strict=True,
        ge=0,
        le=MAX_VERSION,
        description="Of two points of one device, metric and time the one with the higher stays.",
    ),
]


class TelemetryPoint(BaseModel):
    """One point. Device, metric and time are its key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device_id: DeviceId
    metric: Metric
    ts: Moment
    value: Value
    version: Version
