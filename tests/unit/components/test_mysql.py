"""What a MySQL server is told, beside what every server is."""

from typing import Any

from tests.harness import platforms
from tests.harness.recording import Recording


def service(recording: Recording) -> dict[str, Any]:
    return recording.one("Service", "client-database").inputs["spec"]


def pod(recording: Recording) -> dict[str, Any]:
    return recording.of("StatefulSet")[0].inputs["spec"]["template"]["spec"]


def test_clients_are_led_to_the_source_alone_however_many_replicas_there_are() -> None:
    for shape in ("MySQL", "MySQL with replicas"):
        selector = service(platforms.recorded(shape))["selector"]
        assert selector["statefulset.kubernetes.io/pod-name"] == "client-database-0"


def test_a_replica_is_ready_only_while_it_follows_and_started_before() -> None:
    main = pod(platforms.recorded("MySQL with replicas"))["containers"][0]
    assert main["readinessProbe"]["exec"]["command"][-1] == "replicating"
    assert "replicating" not in main["startupProbe"]["exec"]["command"]


def test_the_source_is_named_in_the_certificate_that_replicas_verify() -> None:
    recording = platforms.recorded("MySQL with replicas")
    names = recording.one("CertRequest", "client-database-tls-request").inputs["dnsNames"]
    main = pod(recording)["containers"][0]
    (source,) = [e["value"] for e in main["env"] if e["name"] == "SOURCE_HOST"]
    assert source in names


def test_what_the_start_script_writes_for_the_server_never_reaches_a_disk() -> None:
    volumes = {v["name"]: v for v in pod(platforms.recorded("MySQL"))["volumes"]}
    assert volumes["run"]["emptyDir"]["medium"] == "Memory"


def test_the_configuration_is_the_one_asked_for() -> None:
    config = platforms.recorded("MySQL").one("ConfigMap", "client-database-config").inputs["data"]
    lines = config["my.cnf"].splitlines()
    for line in (
        "max_connections = 50",
        "innodb_buffer_pool_size = 256M",
        "collation_server = utf8mb4_unicode_ci",
        "sync_binlog = 1",
        "gtid_mode = ON",
        "long_query_time = 2",
    ):
        assert line in lines, line
