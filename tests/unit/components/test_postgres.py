"""PostgreSQL: how it is initialised, who may connect, and how it stops."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from components.servers.postgres import config as postgres_config
from tests.harness import platforms
from tests.harness.checks import properties
from tests.harness.recording import record


def config() -> dict[str, str]:
    return platforms.recorded("Postgres").one("ConfigMap", "postgres-config").inputs["data"]


def pod() -> dict[str, Any]:
    made = platforms.recorded("Postgres").of("StatefulSet")[0]
    return made.inputs["spec"]["template"]["spec"]


def mounts() -> dict[str, dict[str, Any]]:
    return {m["mountPath"]: m for m in pod()["containers"][0]["volumeMounts"]}


def test_the_network_needs_tls_and_scram_and_the_socket_the_servers_own_uid() -> None:
    rules = [line.split() for line in config()["pg_hba.conf"].splitlines() if line[0] != "#"]
    assert rules == [
        ["local", "all", "postgres", "peer"],
        ["hostssl", "all", "all", "all", "scram-sha-256"],
        # `all` is no replication: only who takes backups reads the log, by either of its logins.
        ["hostssl", "replication", "backup_user,backup_user_b", "all", "scram-sha-256"],
    ]


def test_an_archiver_that_is_away_cannot_fill_the_volume() -> None:
    assert properties(config()["postgresql.conf"])["max_slot_wal_keep_size"] == "'1024MB'"


def test_a_transaction_someone_forgot_ends_by_itself() -> None:
    found = properties(config()["postgresql.conf"])
    assert found["idle_in_transaction_session_timeout"] == "'60s'"
    assert found["transaction_timeout"] == "'300s'"


def test_sizes_come_from_the_arguments() -> None:
    recording = record(lambda: platforms.postgres(max_connections=77, shared_buffers="256Mi"))
    found = properties(
        recording.one("ConfigMap", "postgres-config").inputs["data"]["postgresql.conf"]
    )
    assert found["max_connections"] == "77"
    assert found["shared_buffers"] == "'256MB'"


def test_nothing_of_the_configuration_lives_in_the_data_directory() -> None:
    found = properties(config()["postgresql.conf"])
    for key in ("hba_file", "ssl_cert_file", "ssl_key_file"):
        assert found[key].startswith("'/etc/millrace/")


def test_durability_is_left_on() -> None:
    found = properties(config()["postgresql.conf"])
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & set(found)


def test_the_uid_has_a_name_whatever_the_image_says() -> None:
    assert "postgres:x:10003:10003:" in config()["passwd"]
    assert mounts()["/etc/passwd"]["subPath"] == "passwd"
    assert pod()["securityContext"]["runAsUser"] == 10003


def test_the_key_has_a_mode_postgres_accepts() -> None:
    """Owned by root and readable by the group: 0640 or less."""
    secret = next(
        v for v in pod()["volumes"] if v.get("secret", {}).get("secretName") == "postgres-tls"
    )
    assert secret["secret"]["defaultMode"] == 0o440
    assert pod()["securityContext"]["fsGroup"] == 10003


def test_the_data_lies_where_the_official_image_declares_its_volume() -> None:
    assert mounts()["/var/lib/postgresql/data"]["name"] == "data"


def test_readiness_needs_neither_password_nor_free_connection() -> None:
    command = pod()["containers"][0]["readinessProbe"]["exec"]["command"]
    assert command[0].endswith("/pg_isready")
    assert "--host=/run/postgresql" in command


def test_crash_recovery_is_never_killed_for_taking_long() -> None:
    startup = pod()["containers"][0]["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600


def test_the_host_is_the_name_in_its_certificate() -> None:
    recording = platforms.recorded("Postgres")
    outputs = recording.one("Postgres", "postgres").outputs
    assert outputs is not None
    assert outputs == {"address": {"host": "postgres.data.svc", "port": 5432}}
    names = recording.one("CertRequest", "postgres-tls-request").inputs["dnsNames"]
    assert outputs["address"]["host"] in names


def test_a_rotated_superuser_password_rolls_the_server() -> None:
    def rolled(version: str) -> str:
        password = platforms.files("postgres-admin", version=version)
        made = record(lambda: platforms.postgres(admin_password=password)).of("StatefulSet")[0]
        return made.inputs["spec"]["template"]["metadata"]["annotations"][
            "millrace.dev/config-hash"
        ]

    assert rolled("1") != rolled("2")


INITDB = """
for a; do case $a in --pgdata=*) d=${a#*=};; esac; done
mkdir "$d"
while [ -e "${d%/*/*}/hold" ]; do sleep 0.01; done
echo 17 >"$d/PG_VERSION"
"""
# Python, since bash cannot trap a signal that it was started to ignore, as background jobs are.
POSTGRES = """
import os, signal, sys, time

def write(text):
    with open({calls!r}, "a") as calls:
        calls.write(text)

write("postgres " + " ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "--single":
    write(sys.stdin.read())
else:
    write("early\\n")
    while os.path.exists({deaf!r}):
        time.sleep(0.01)
    # Blocked first of all: one that came to a handler would end this before it is "up", and one
    # sent at the sight of "up" waits until it is asked for.
    signals = {{signal.SIGINT, signal.SIGTERM}}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for number in signals:
        signal.signal(number, signal.default_int_handler)
    write("up\\n")
    write(signal.sigwait(signals).name + "\\n")
"""


class FakeHost:
    """start.sh in a folder of its own, with binaries that write down what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.data, self.calls = folder / "data", folder / "calls"
        self.deaf = folder / "deaf"
        """While it is there, the server that was started last has no signal handlers yet."""
        self.password = folder / "secret" / "password"
        binaries = folder / "bin"
        for made in (self.data, binaries, self.password.parent):
            made.mkdir()
        self.password.write_text("Secret1\n")
        initdb = f'#!/bin/bash\necho "initdb $*" >>{self.calls}\n{INITDB}'
        program = POSTGRES.format(calls=str(self.calls), deaf=str(self.deaf))
        postgres = f"#!{sys.executable}\n{program}"
        for name, text in (("initdb", initdb), ("postgres", postgres)):
            (binaries / name).write_text(text)
            (binaries / name).chmod(0o755)
        self.script = (
            postgres_config.start_script()
            .replace(postgres_config.BINARIES, str(binaries))
            .replace(postgres_config.DATA_PATH, str(self.data))
            .replace(postgres_config.ADMIN_PATH, str(self.password.parent))
        )

    def start(self) -> subprocess.Popen[str]:
        self.calls.write_text("")
        return subprocess.Popen(
            ["bash", "-c", self.script], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def wait_for(self, call: str, process: subprocess.Popen[str]) -> None:
        while call not in self.calls.read_text():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)

    def run_until_up(self) -> str:
        """Start, wait for the server, stop it as the kubelet does; what was called."""
        process = self.start()
        self.wait_for("up\n", process)
        process.terminate()
        assert process.wait(timeout=20) == 0
        return self.calls.read_text()


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_the_first_start_initialises_with_checksums_and_scram(host: FakeHost) -> None:
    calls = host.run_until_up()
    assert "--data-checksums" in calls
    assert "--auth-host=scram-sha-256" in calls
    assert (host.data / "pgdata" / "PG_VERSION").exists()
    assert "initdb" not in host.run_until_up()


def test_a_stop_before_the_server_listens_to_signals_is_not_lost(host: FakeHost) -> None:
    host.run_until_up()
    host.deaf.touch()
    process = host.start()
    host.wait_for("early\n", process)
    process.terminate()
    time.sleep(0.3)  # the signal comes while the server still ignores it
    host.deaf.unlink()
    assert process.wait(timeout=20) == 0
    assert "SIGINT" in host.calls.read_text()


def test_an_interrupted_initialisation_starts_over(host: FakeHost) -> None:
    (host.data / "initdb.unfinished").mkdir()
    (host.data / "initdb.unfinished" / "half").touch()
    assert "initdb" in host.run_until_up()
    assert not (host.data / "pgdata" / "half").exists()


def test_it_never_initialises_over_something_it_does_not_know(host: FakeHost) -> None:
    (host.data / "pgdata").mkdir()
    process = host.start()
    assert process.wait(timeout=20) == 1
    assert "refusing to initialise over it. Restore the volume" in process.communicate()[1]
    assert host.calls.read_text() == ""


def test_the_superusers_password_follows_its_secret_before_anyone_connects(host: FakeHost) -> None:
    calls = host.run_until_up()
    assert calls.index("ALTER ROLE postgres PASSWORD 'Secret1'") < calls.index("up\n")
    host.password.write_text("Secret2")
    assert "ALTER ROLE postgres PASSWORD 'Secret2'" in host.run_until_up()


@pytest.mark.parametrize("password", ["", "it's", "a b"])
def test_a_password_that_would_need_quoting_is_refused(host: FakeHost, password: str) -> None:
    host.run_until_up()
    host.password.write_text(password)
    process = host.start()
    assert process.wait(timeout=20) == 1
    output = process.communicate()[1]
    assert "must hold letters and digits only" in output
    assert password == "" or password not in output


def test_a_stop_ends_clients_transactions_instead_of_waiting_for_them(host: FakeHost) -> None:
    """PostgreSQL's SIGTERM waits for every client to leave, its SIGINT does not."""
    assert host.run_until_up().endswith("SIGINT\n")


def test_a_stop_while_it_initialises_starts_no_server_and_the_next_start_does(
    host: FakeHost,
) -> None:
    hold = host.data.parent / "hold"
    hold.touch()
    process = host.start()
    host.wait_for("initdb", process)
    process.terminate()
    hold.unlink()
    assert process.wait(timeout=20) == 143
    assert "up\n" not in host.calls.read_text()
    assert host.run_until_up().endswith("SIGINT\n")
