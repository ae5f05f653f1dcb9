"""What a load run is about."""

from typing import Literal

Target = Literal["async", "sync", "telemetry"]
"""As `make load` is told: documents over the stream, documents within the request, points."""

THINGS: dict[Target, str] = {"async": "documents", "sync": "documents", "telemetry": "points"}
"""What its users write."""
