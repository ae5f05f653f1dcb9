"""A filter of a client library's log: of what repeats, the first and then one in half a minute."""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.shared.runtime.trouble import Trouble


class Sparing(logging.Filter):
    """Lets a kind of message through now and then; `kind_of` says what kind one is."""

    def __init__(self, kind_of: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._kind_of = kind_of
        self._trouble = Trouble()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.CRITICAL or self._trouble.worth_logging(
            self._kind_of(record)
        )
