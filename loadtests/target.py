"""Which of the two ways to the store is meant."""

from typing import Literal

Target = Literal["async", "sync"]
"""As `make load` is told: over the stream, or within the request."""
