"""Consumers for asyncio (aiokafka): SASL_SSL with SCRAM, as clients.py has it for librdkafka.

Their heartbeats are tasks of the event loop: whatever blocks it longer than a session costs the
member its partitions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final
from weakref import WeakKeyDictionary

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from services.shared.kafka.clients import sasl_mechanism
from services.shared.kafka.group import GroupSettings
from services.shared.runtime.databases import tls_context
from services.shared.runtime.settings import KafkaSettings, SettingsError, read_secret
from services.shared.runtime.sparing import Sparing

_PARTITION_BYTES: Final = 512 * 1024
_FETCH_BYTES: Final = 4 * 1024 * 1024
"""Of one answer: the pod's memory limit is small, and what is fetched is kept as Python objects."""
_SPARE_MS: Final = 5000
_NEVER_MS: Final = 2**31 - 1

_trusted: WeakKeyDictionary[AIOKafkaConsumer, bytes] = WeakKeyDictionary()


def consumer(
    settings: KafkaSettings, group: GroupSettings, client_id: str, *, fetch_wait_ms: int = 1000
) -> AIOKafkaConsumer:
    """A consumer that commits only what it is told to and starts at the oldest message.

    It has no topics yet: start() it, which raises when no broker answers, then subscribe().
    Password and CA are read anew. Raises SettingsError when they are not there.

    fetch_wait_ms: how long a broker that has nothing keeps a request. What is idle costs a turn of
    the loop for each; a message that comes is given at once.
    """
    spare_log()
    trusted = settings.ca_file.read_bytes()
    client = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        group_id=group.group_id,
        group_instance_id=group.group_instance_id,
        security_protocol="SASL_SSL",
        ssl_context=tls_context(str(settings.ca_file)),
        sasl_mechanism=sasl_mechanism(settings),
        sasl_plain_username=settings.username,
        sasl_plain_password=read_secret(settings.password_file),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        # The only one that both kinds of client know by the same name and do alike.
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=group.session_timeout_ms,
        # A rebalance reaches a member with its next heartbeat.
        heartbeat_interval_ms=min(3000, group.session_timeout_ms // 3),
        rebalance_timeout_ms=group.session_timeout_ms,
        # The answer to a JoinGroup comes when all have joined: a shorter patience would take the
        # coordinator for dead in the middle of every rebalance with a member that is gone.
        request_timeout_ms=group.session_timeout_ms + _SPARE_MS,
        # Who waits for a database asks for nothing, and is not to be taken for dead: whether the
        # loop turns is what the process's own heartbeat says.
        max_poll_interval_ms=_NEVER_MS,
        fetch_max_wait_ms=fetch_wait_ms,
        consumer_timeout_ms=fetch_wait_ms,  # the fetcher looks around that often, without cause
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=_PARTITION_BYTES,
        # Partitions that were added are seen within this time.
        metadata_max_age_ms=60_000,
    )
    _trusted[client] = trusted
    return client


def renew(client: AIOKafkaConsumer, settings: KafkaSettings) -> None:
    """Let `client` connect from now on with the password and the CA that are mounted now.

    Nobody tells it when it is refused: it goes on trying with what it was made with. What is
    connected stays so. Reads three small files; what cannot be read stays as it was.
    """
    inner: Any = client._client
    with contextlib.suppress(OSError, SettingsError):
        inner._sasl_mechanism = sasl_mechanism(settings)
        inner._sasl_plain_password = read_secret(settings.password_file)
        trusted = settings.ca_file.read_bytes()
        if trusted != _trusted.get(client):
            inner._ssl_context = tls_context(str(settings.ca_file))
            _trusted[client] = trusted


async def stop(client: AIOKafkaConsumer, seconds: float) -> None:
    """Leave the group and close; when the brokers do not answer, no longer than `seconds`."""
    # A task of its own: it awaits fetches that it has just cancelled, and then is cancelled itself
    # (`Fetcher.close`), which is not to be taken for a cancellation of whoever waits here.
    stopping = asyncio.create_task(client.stop())
    try:
        await asyncio.wait({stopping}, timeout=seconds)
    finally:
        stopping.cancel()
    if stopping.done() and not stopping.cancelled() and stopping.exception() is None:
        return
    # What was cut off may not have come to its tasks, which would fetch again once brokers answer,
    # nor to the connections.
    inner: Any = client
    fetcher, coordinator = inner._fetcher, inner._coordinator
    tasks = [stopping, getattr(fetcher, "_fetch_task", None)]
    tasks += getattr(fetcher, "_pending_tasks", ())
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
    tasks += [getattr(coordinator, name, None) for name in names]
    alive = [task for task in tasks if task is not None and not task.done()]
    for task in alive:
        task.cancel()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1):
            await asyncio.gather(*alive, return_exceptions=True)
            await inner._client.close()


def spare_log() -> None:
    """Let aiokafka log where the service does, and what repeats not tens of times a second."""
    for name in list(logging.root.manager.loggerDict):
        if name == "aiokafka" or name.startswith("aiokafka."):
            logger = logging.getLogger(name)
            logger.setLevel(logging.WARNING)
            if not any(isinstance(known, Sparing) for known in logger.filters):
                logger.addFilter(Sparing(lambda record: str(record.msg)))
