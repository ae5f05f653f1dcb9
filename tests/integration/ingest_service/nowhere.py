"""What ingest-service is told where a test has no use for what it names: nobody listens there."""

from __future__ import annotations

from typing import Any

from services.ingest_service.telemetry.settings import (
    PointSettings,
    ReadersSettings,
    TelemetrySettings,
)
from services.ingest_service.telemetry.wiring import TelemetryMeans
from services.shared.runtime.settings import KafkaSettings
from tests.integration.authority import Authority

PORT = 1


def kafka(authority: Authority) -> KafkaSettings:
    password = authority.secret("kafka-nowhere")
    mechanism = password.with_suffix(".mechanism")
    mechanism.write_text("SCRAM-SHA-512")
    return KafkaSettings(
        bootstrap_servers=f"localhost:{PORT}",
        username="nobody",
        password_file=password,
        mechanism_file=mechanism,
        ca_file=authority.ca_file,
    )


def database(authority: Authority) -> dict[str, Any]:
    """Of settings of a database, whichever."""
    return {
        "host": "localhost",
        "port": PORT,
        "name": "nothing",
        "user": "nobody",
        "password_file": authority.secret("database-nowhere"),
        "ca_file": authority.ca_file,
        "pool_size": 2,
    }


def redis(authority: Authority) -> dict[str, Any]:
    """Of settings of a Redis, whichever."""
    return {
        "host": "localhost",
        "port": PORT,
        "username": "nobody",
        "password_file": authority.secret("redis-nowhere"),
        "ca_file": authority.ca_file,
    }


def telemetry(authority: Authority) -> TelemetryMeans:
    return TelemetryMeans(
        PointSettings(),
        kafka(authority),
        TelemetrySettings(**database(authority)),
        ReadersSettings(**database(authority)),
    )


def variables(means: TelemetryMeans) -> dict[str, str]:
    """The same for a process."""
    told = {
        "KAFKA": means.kafka,
        "TELEMETRY": means.source,
        "TELEMETRY_READERS": means.readers,
        "INGEST_POINTS": means.points,
    }
    return {
        f"{prefix}_{name}".upper(): str(value)
        for prefix, settings in told.items()
        for name, value in settings.model_dump(exclude_none=True).items()
    }
