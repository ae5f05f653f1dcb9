"""Whether Kafka lets users in by the passwords that it should know, and by no others."""

# confluent_kafka.admin re-exports its classes without saying so in __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from services.provision.spec import KafkaSpec, ProvisionError
from services.shared.kafka.clients import MECHANISMS, Config
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import read_secret

log = get_logger(__name__)

_SECONDS: Final = 30.0
"""The controller answers a change before every broker has learnt of it."""
_PAUSE_SECONDS: Final = 0.2
_REFUSED: Final = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)


def other(mechanism: str) -> str:
    """The one that the password before has."""
    return MECHANISMS[1 - MECHANISMS.index(mechanism)]


def check(spec: KafkaSpec, *, seconds: float = _SECONDS) -> None:
    """Try every user's password, and the one before as far as there is one.

    Raises ProvisionError.
    """
    deadline = time.monotonic() + seconds
    for user in spec.users:
        _until(spec, _Try(user.name, user.mechanism, user.password_file), True, deadline)
        before = user.previous
        if before is not None:
            old = _Try(user.name, other(user.mechanism), before.password_file)
            _until(spec, old, before.accepted, deadline)
            log.info("previous_password", user=user.name, accepted=before.accepted)


@dataclass(frozen=True)
class _Try:
    user: str
    mechanism: str
    password_file: Path


def _until(spec: KafkaSpec, login: _Try, wanted: bool, deadline: float) -> None:
    known: bool | None = None
    while (found := _accepts(spec, login, deadline)) is not wanted:
        # The deadline may end a try that has no answer yet: what the one before said is what is so.
        known = known if found is None else found
        if time.monotonic() >= deadline:
            said = {True: "still accepts", False: "refuses", None: "did not answer"}[known]
            raise ProvisionError(
                f"kafka at {spec.client_servers}: {said} {login.user!r} with its password for"
                f" {login.mechanism}; run this again, and if it stays so, see the broker's log"
            )
        time.sleep(_PAUSE_SECONDS)


def _accepts(spec: KafkaSpec, login: _Try, deadline: float) -> bool | None:
    """None: no broker has answered."""
    refused: list[int] = []
    config: Config = {
        "bootstrap.servers": spec.client_servers,
        "client.id": "provision-kafka",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": login.mechanism,
        "sasl.username": login.user,
        "sasl.password": read_secret(login.password_file),
        "ssl.ca.location": str(spec.ca_file),
        "ssl.endpoint.identification.algorithm": "https",
        # Being refused is one of the answers, not a line of the log.
        "log_level": 0,
        "error_cb": lambda error: refused.append(error.code()),
    }
    client = AdminClient(config)
    while True:
        try:
            client.list_topics(timeout=1)
        except KafkaException as error:
            client.poll(0)
            if {*refused, error.args[0].code()} & {*_REFUSED}:
                return False
            if time.monotonic() >= deadline:
                return None
        else:
            return True
