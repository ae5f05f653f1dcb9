"""Kafka Connect with Debezium's JDBC sink, as a process of its own on this machine.

Told to upsert in batches of the same size as async-writer, over TLS on both sides, one task for one
pod, with the driver joining a batch's rows into one statement (rewriteBatchedStatements), which is
not its default and what makes it fast. It stores what comes last and does not look whether that is
the newest.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from bootstrap.checkout import find_checkout
from bootstrap.jars import fetch_jars
from bootstrap.steps import Report
from services.contracts.topics import TELEMETRY_POINTS
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings

BATCH = 500
_STORE_PASSWORD = "of-a-store-of-public-certificates"
_FIELDS = (
    ("device_id", "string", None),
    ("metric", "string", None),
    ("ts", "string", "io.debezium.time.ZonedTimestamp"),
    ("value", "double", None),
    ("version", "int64", None),
)


def jars() -> Path:
    """The folder of what it runs from, fetched when it is not there yet."""
    checkout = find_checkout()
    pom = Path(__file__).with_name("jdbc_sink.xml")
    checkout.make_state()
    report = Report("jars of the JDBC sink", checkout.logs / "jdbc-sink.log")
    return fetch_jars(checkout.cache, "jdbc-sink", pom, report)


def start(
    libraries: Path,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    folder: Path,
    *,
    name: str,
    port: int,
) -> subprocess.Popen[bytes]:
    """The worker with the one connector, in the group `connect-<name>`; its log is `connect.log`
    in the folder."""
    folder.mkdir()
    trust = folder / "trust.p12"
    keytool = shutil.which("keytool") or "keytool"
    subprocess.run(
        [
            *(keytool, "-importcert", "-noprompt", "-alias", "ca", "-storetype", "PKCS12"),
            *("-file", str(kafka.ca_file), "-keystore", str(trust)),
            *("-storepass", _STORE_PASSWORD),
        ],
        check=True,
        capture_output=True,
    )
    worker, connector = folder / "worker.properties", folder / "connector.properties"
    worker.write_text(_properties(_worker(kafka, folder, port)))
    connector.write_text(_properties(_connector(database, trust, name)))
    with (folder / "connect.log").open("wb") as log:
        return subprocess.Popen(
            [
                *("java", "-Xms256m", "-Xmx768m", "-cp", f"{libraries}/*"),
                "org.apache.kafka.connect.cli.ConnectStandalone",
                *(str(worker), str(connector)),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _worker(kafka: KafkaSettings, folder: Path, port: int) -> dict[str, str]:
    password = kafka.password_file.read_text()
    login = (
        "org.apache.kafka.common.security.scram.ScramLoginModule required"
        f' username="{kafka.username}" password="{password}";'
    )
    client = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": kafka.mechanism_file.read_text(),
        "sasl.jaas.config": login,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(kafka.ca_file),
    }
    schema = {
        "type": "struct",
        "optional": False,
        "fields": [
            {"field": field, "type": kind, "optional": False} | ({"name": name} if name else {})
            for field, kind, name in _FIELDS
        ],
    }
    return {
        **client,
        **{f"consumer.{name}": value for name, value in client.items()},
        "consumer.max.poll.records": str(BATCH),
        "consumer.auto.offset.reset": "earliest",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "value.converter.schema.content": json.dumps(schema),
        "offset.storage.file.filename": str(folder / "offsets"),
        "offset.flush.interval.ms": "1000",
        "listeners": f"http://127.0.0.1:{port}",
    }


def _connector(database: DatabaseSettings, trust: Path, name: str) -> dict[str, str]:
    return {
        "name": name,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": TELEMETRY_POINTS,
        "connection.url": (
            f"jdbc:mysql://{database.host}:{database.port}/{database.name}"
            "?rewriteBatchedStatements=true&sslMode=VERIFY_IDENTITY"
            f"&trustCertificateKeyStoreUrl=file:{trust}&trustCertificateKeyStoreType=PKCS12"
            f"&trustCertificateKeyStorePassword={_STORE_PASSWORD}"
        ),
        "connection.username": database.user,
        "connection.password": database.password_file.read_text(),
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "device_id,metric,ts",
        "schema.evolution": "none",
        "collection.name.format": "telemetry",
        "batch.size": str(BATCH),
        "database.time_zone": "UTC",
    }


def _properties(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
