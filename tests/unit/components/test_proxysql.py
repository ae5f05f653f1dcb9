"""What ProxySQL is told, and that nothing of it is known before its pod is."""

import base64
from typing import Any

import pulumi
import pytest

from components.servers.proxysql import config
from components.servers.proxysql.server import ProxyUser, replica_hosts
from tests.harness import platforms
from tests.harness.recording import Recording, record


def conf() -> dict[str, str]:
    data = platforms.recorded("ProxySQL").one("ConfigMap", "telemetry-database-proxy-config")
    lines = data.inputs["data"]["proxysql.cnf"].splitlines()
    return dict(line.strip().split("=", 1) for line in lines if "=" in line)


def routes(recording: Recording | None = None) -> dict[str, str]:
    made = recording or platforms.recorded("ProxySQL")
    secret = made.one("Secret", "telemetry-database-proxy-routes")
    return {k: base64.b64decode(v).decode() for k, v in secret.inputs["data"].items()}


def pod(recording: Recording) -> dict[str, Any]:
    return recording.of("StatefulSet")[0].inputs["spec"]["template"]["spec"]


def built(**changes: Any) -> Recording:
    return record(lambda: platforms.proxysql(**changes))


def rows(text: str, name: str) -> list[str]:
    part = text.partition(f"{name}=\n(\n")[2].partition("\n)\n")[0]
    return [line.strip().rstrip(",") for line in part.splitlines()]


def test_the_writer_is_in_both_hostgroups_and_the_last_to_be_asked_for_plain_reads() -> None:
    found = rows(routes()["routes.cnf"], "mysql_servers")
    source, copy = "telemetry-database.data.svc", "telemetry-database-1."
    shown = [
        (source in row, copy in row, row.split("hostgroup=")[1][:2], "weight=1," in row)
        for row in found
    ]
    assert shown == [
        (True, False, "10", True),
        (True, False, "20", True),
        (False, True, "20", False),
    ]


def test_only_copies_are_left_out_for_being_behind() -> None:
    for row in rows(routes()["routes.cnf"], "mysql_servers"):
        assert ("max_replication_lag=60" in row) == ("telemetry-database-1." in row)


def test_what_measured_traps_ask_for_is_set() -> None:
    found = conf()
    for key, value in (
        ("auto_increment_delay_multiplex", "0"),
        ("default_authentication_plugin", '"caching_sha2_password"'),
        ("default_collation_connection", '"utf8mb4_unicode_ci"'),
        ("monitor_replication_lag_use_percona_heartbeat", '"millrace.heartbeat"'),
        ("monitor_writer_is_also_reader", '"true"'),
        ("query_processor_regex", "2"),
        ("web_enabled", '"false"'),
    ):
        assert found[key] == value, key
    script = config.start_script(drain_seconds=5)
    assert "--initial" in script
    assert "--no-version-check" in script


def test_no_password_is_in_the_configuration_and_none_is_a_default() -> None:
    recording = platforms.recorded("ProxySQL")
    text = "\n".join(
        str(text) for made in recording.of("ConfigMap") for text in made.inputs["data"].values()
    )
    for word in ("opensesame", "lookabout", "admin:admin", "monitor_password"):
        assert word not in text
    assert "/dev/urandom" in config.start_script(drain_seconds=5)


def test_whatever_it_writes_stays_in_memory() -> None:
    volumes = {v["name"]: v for v in pod(platforms.recorded("ProxySQL"))["volumes"]}
    assert volumes["run"]["emptyDir"]["medium"] == "Memory"
    for key in ("datadir", "mysql_ifaces"):
        assert conf()[key].startswith(f'"{config.RUN_PATH}/'), key


def test_clients_have_a_user_with_tls_that_stays_where_its_transaction_began() -> None:
    (row,) = rows(routes()["accounts.cnf"], "mysql_users")
    for part in ('username="telemetry_user"', "use_ssl=1", "transaction_persistent=1"):
        assert part in row
    assert "default_hostgroup=10" in row


def test_it_is_rolled_for_its_configuration_and_the_ca_and_not_for_users_or_routes() -> None:
    def rolled(**changes: Any) -> str:
        spec = built(**changes).of("StatefulSet")[0].inputs["spec"]
        return spec["template"]["metadata"]["annotations"]["millrace.dev/config-hash"]

    as_it_was = rolled()
    other = ProxyUser(name="telemetry_user", password=pulumi.Output.secret("another"))
    assert rolled(users=(other,)) == as_it_was
    assert rolled(copies=()) == as_it_was
    assert rolled(connections=5) == as_it_was
    assert rolled(max_clients=100) != as_it_was
    assert rolled(ca=platforms.files("millrace-ca", "ConfigMap", version="2")) != as_it_was


def version(recording: Recording) -> str:
    (row,) = [r for r in rows(routes(recording)["routes.cnf"], "mysql_query_rules") if "error" in r]
    return row.partition('error_msg="')[2].partition('"')[0]


def test_the_name_of_the_routes_changes_with_all_of_them_and_with_nothing_else() -> None:
    other = ProxyUser(name="telemetry_user", password=pulumi.Output.secret("another"))
    monitor = ProxyUser(name="proxysql_monitor", password=pulumi.Output.secret("another"))
    changes: list[dict[str, Any]] = [
        *({}, {"users": (other,)}, {"monitor": monitor}, {"copies": ()}, {"connections": 5}),
    ]
    names = [version(built(**change)) for change in changes]
    assert len(set(names)) == len(names)
    assert version(built(replacing=True)) == names[0]
    (component,) = [one for one in built().components() if one.kind == "ProxySQL"]
    assert component.outputs is not None
    assert component.outputs["routes"] == names[0]


def test_a_password_that_takes_anothers_place_waits_until_clients_have_both() -> None:
    def settle(**changes: Any) -> int:
        first, *_ = routes(built(**changes))["routes.cnf"].splitlines()
        return int(first.removeprefix(config.SETTLE))

    assert settle() == 0
    assert settle(replacing=True) > 90


def test_a_value_cannot_leave_its_quotes() -> None:
    other = ProxyUser(name="a", password=pulumi.Output.secret('x", use_ssl=0, y="\\'))
    text = routes(built(users=(other,)))["accounts.cnf"]
    assert r'password="x\", use_ssl=0, y=\"\\", ' in text


def test_each_replica_has_a_host_of_its_own_and_the_pair_a_budget() -> None:
    recording = platforms.recorded("ProxySQL")
    assert len(recording.of("PodDisruptionBudget")) == 1
    args = [
        "telemetry-database-proxy-0.telemetry-database-proxy-headless.data.svc.cluster.local",
        "telemetry-database-proxy-1.telemetry-database-proxy-headless.data.svc.cluster.local",
    ]
    assert replica_hosts("telemetry-database-proxy", replicas=2) == args
    assert not built(replicas=1).of("PodDisruptionBudget")


@pytest.mark.parametrize(("change", "key"), [({"connections": 1}, "connections")])
def test_what_cannot_work_is_refused(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        built(**change)
