"""What librdkafka logs and reports, in the service's own log and not tens of times a second.

While a broker is away every client says so at every attempt to connect, once as a line of its log
and once as an error to its owner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from confluent_kafka import KafkaError

from services.shared.kafka.clients import Config, is_client_lost
from services.shared.runtime.logging import get_logger
from services.shared.runtime.sparing import Sparing
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)


def with_log(config: Config, on_lost: Callable[[], None] = lambda: None) -> Config:
    """`config` for a client that logs where the service does.

    Of what repeats, the first is logged, then one in half a minute. `on_lost` is called when the
    client must be replaced: it broke for good, or was refused, and a new one reads the password
    anew.
    """
    trouble = Trouble()

    def report(error: KafkaError) -> None:
        lost = is_client_lost(error)
        if lost or error.code() == KafkaError._AUTHENTICATION:
            on_lost()
        if lost or trouble.worth_logging(error.name()):
            log.warning("kafka_client", error=error.str(), code=error.name(), fatal=error.fatal())

    return config | {"logger": _logger(), "error_cb": report}


def _logger() -> logging.Logger:
    logger = logging.getLogger("librdkafka")
    if not any(isinstance(known, Sparing) for known in logger.filters):
        logger.addFilter(Sparing(_kind))
    return logger


def _kind(record: logging.LogRecord) -> str:
    # "FAIL [event-worker#consumer-1] [thrd:sasl_ssl://host:9092/0]: what happened"
    return record.getMessage().partition("]: ")[0]
