"""The names of the images that a stack is made of."""

from typing import Final

IMAGE_NAMES: Final = ("postgres", "kafka", "redis", "python-build", "python-runtime", "services")
"""Every name a component or the services build asks for. `services` has no official image."""
