"""What a test of the services' logging sets up is gone after it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_of_one_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module's logger keeps what was configured when it was first used, if it may: then a later
    test's `capture_logs` would see nothing of it, or not, by which tests a process ran before."""
    configure: Callable[..., Any] = structlog.configure

    def unkept(**said: Any) -> None:
        configure(**{**said, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", unkept)
    yield
    structlog.reset_defaults()
