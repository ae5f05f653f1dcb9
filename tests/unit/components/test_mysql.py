"""What a MySQL server is told, beside what every server is."""

from typing import Any

from tests.harness import platforms
from tests.harness.recording import Recording, record

READERS = "client-database-readers"


def service(recording: Recording, name: str = "client-database") -> dict[str, Any]:
    return recording.one("Service", name).inputs["spec"]


def pod(recording: Recording, name: str = "client-database") -> dict[str, Any]:
    return recording.one("StatefulSet", name).inputs["spec"]["template"]["spec"]


def test_clients_are_led_to_the_source_alone_however_many_copies_there_are() -> None:
    for shape in ("MySQL", "MySQL with copies"):
        selector = service(platforms.recorded(shape))["selector"]
        assert selector["statefulset.kubernetes.io/pod-name"] == "client-database-0"


def test_readers_are_led_to_all_ready_copies_and_never_to_the_source() -> None:
    recording = platforms.recorded("MySQL with copies")
    found = service(recording, READERS)
    assert not found.get("publishNotReadyAddresses")

    def behind(name: str) -> bool:
        labels = recording.one("StatefulSet", name).inputs["spec"]["template"]["metadata"]["labels"]
        return found["selector"].items() <= labels.items()

    assert behind(READERS)
    assert not behind("client-database")


def test_a_server_without_copies_is_its_own_reader() -> None:
    for shape, host in (("MySQL", "client-database"), ("MySQL with copies", READERS)):
        made = platforms.recorded(shape).one("MySQL", "client-database").outputs
        assert made is not None
        assert made["address"]["host"] == "client-database.data.svc"
        assert made["readers"]["host"] == f"{host}.data.svc"


def test_a_copy_is_ready_only_while_it_follows_and_started_before() -> None:
    recording = platforms.recorded("MySQL with copies")
    main = pod(recording, READERS)["containers"][0]
    assert main["readinessProbe"]["exec"]["command"][-1] == "following"
    assert "following" not in main["startupProbe"]["exec"]["command"]
    # The source has nobody to follow.
    main = pod(recording)["containers"][0]
    assert "following" not in main["readinessProbe"]["exec"]["command"]


def test_how_late_a_copy_may_be_is_as_asked_for() -> None:
    recording = record(lambda: platforms.mysql(replicas=2, max_lag_seconds=77))
    texts = recording.one("ConfigMap", f"{READERS}-config").inputs["data"]
    assert "most=77" in texts["ready.sh"].splitlines()


def test_the_source_is_named_in_the_certificate_that_copies_verify() -> None:
    recording = platforms.recorded("MySQL with copies")
    names = recording.one("CertRequest", "client-database-tls-request").inputs["dnsNames"]
    assert told(pod(recording, READERS))["SOURCE_HOST"] in names
    assert f"{READERS}.data.svc" in names
    assert "SOURCE_HOST" not in told(pod(recording))


def told(spec: dict[str, Any]) -> dict[str, str]:
    return {e["name"]: e["value"] for e in spec["containers"][0]["env"] if "value" in e}


def test_no_host_has_the_source_and_a_copy_unless_hosts_are_few() -> None:
    [term] = pod(platforms.recorded("MySQL with copies"), READERS)["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": "client-database"}
    few = record(lambda: platforms.mysql(replicas=3, one_per_host=False))
    assert "affinity" not in pod(few, READERS)


def test_copies_are_rolled_after_the_source_so_that_reads_go_on() -> None:
    recording = platforms.recorded("MySQL with copies")
    source = recording.one("StatefulSet", "client-database").urn
    assert source in recording.one("StatefulSet", READERS).dependencies


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
        "slow_query_log = OFF",
    ):
        assert line in lines, line
