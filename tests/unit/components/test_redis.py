"""Redis: who may do what, and the difference between a cache and a store."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pulumi

from components.servers.redis import config as redis_config
from components.servers.redis.server import OwnPassword
from tests.harness import platforms
from tests.harness.recording import Recording, record


def conf(shape: str) -> list[str]:
    data = platforms.recorded(shape).one("ConfigMap", "redis-cache-config").inputs["data"]
    return data["redis.conf"].splitlines()


def acl() -> dict[str, list[str]]:
    return users_in(platforms.recorded("Redis"))


def acl_of(build: Callable[[], object]) -> dict[str, list[str]]:
    return users_in(record(build))


def users_in(recording: Recording) -> dict[str, list[str]]:
    secret = recording.one("Secret", "redis-cache-acl")
    text = base64.b64decode(secret.inputs["data"]["users.acl"]).decode()
    return {line.split()[1]: line.split()[2:] for line in text.splitlines()}


def test_a_cache_keeps_nothing_and_evicts_the_least_recently_used() -> None:
    found = conf("Redis")
    assert 'save ""' in found
    assert "appendonly no" in found
    assert "maxmemory-policy allkeys-lru" in found
    assert "maxmemory 134217728" in found
    spec = platforms.recorded("Redis").of("StatefulSet")[0].inputs["spec"]
    assert "volumeClaimTemplates" not in spec


def test_a_store_writes_ahead_and_evicts_nothing() -> None:
    found = conf("Redis as a store")
    assert "appendonly yes" in found
    assert "appendfsync always" in found
    assert "maxmemory-policy noeviction" in found
    spec = platforms.recorded("Redis as a store").of("StatefulSet")[0].inputs["spec"]
    mounts = spec["template"]["spec"]["containers"][0]["volumeMounts"]
    assert spec["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
    assert {m["name"]: m["mountPath"] for m in mounts}["data"] == "/data"


def test_the_default_user_is_off() -> None:
    assert acl()["default"] == ["reset", "off", "~*", "&*", "+@all"]


def test_a_user_reaches_its_own_keys_with_its_own_commands() -> None:
    rules = acl()["rest-service"]
    assert "~resource:*" in rules
    assert [rule for rule in rules if rule[0] == "~"] == ["~resource:*"]
    assert rules.index("-@all") < rules.index("+get")
    assert {"+set", "+del", "+eval"} <= set(rules)


def test_no_category_brings_dangerous_commands_in() -> None:
    for name in ("rest-service", "health"):
        assert acl()[name][-2:] == ["-@dangerous", "-@admin"]


def test_the_operator_may_have_files_read_and_say_nothing_of_what_is_in_them() -> None:
    allowed = {rule[1:] for rule in acl()["operator"] if rule[0] == "+"}
    handshake = {rule[1:] for rule in acl()["health"] if rule[0] == "+"}
    assert allowed - handshake == {"acl|load", "acl|users", "config|set"}
    assert not [rule for rule in acl()["operator"] if rule[0] == "~"]


def test_the_acl_file_knows_passwords_by_their_hash_only() -> None:
    assert f"#{hashlib.sha256(b'opensesame').hexdigest()}" in acl()["rest-service"]
    assert not any(
        rule.startswith(">") or "opensesame" in rule for r in acl().values() for rule in r
    )


def test_the_health_user_may_ping_and_nothing_else() -> None:
    allowed = {rule[1:] for rule in acl()["health"] if rule[0] == "+"}
    assert allowed == {"ping", "hello"} | {c for c in allowed if c.startswith("client|")}
    assert not [rule for rule in acl()["health"] if rule[0] == "~"]


def test_readiness_asks_over_tls_with_the_password_from_its_file() -> None:
    script = redis_config.probe_script()
    assert "--tls --cacert /etc/millrace/tls/ca.crt" in script
    assert "/etc/millrace/secrets/health/password" in script
    assert "PONG" in script


def rolled(**changes: Any) -> str:
    made = record(lambda: platforms.redis(**changes)).of("StatefulSet")[0].inputs["spec"]
    return made["template"]["metadata"]["annotations"]["millrace.dev/config-hash"]


def test_the_server_is_rolled_for_its_configuration_and_not_for_its_users_or_passwords() -> None:
    def users(**changes: Any) -> str:
        return rolled(users=(platforms.redis_user(**changes),))

    as_it_was = rolled()
    assert users(keys=("other:*",)) == as_it_was
    assert users(passwords=pulumi.Output.secret(["another"])) == as_it_was
    assert rolled(health=OwnPassword(generation=2)) == as_it_was
    assert rolled(operator=OwnPassword(generation=2)) == as_it_was
    assert rolled(max_memory="64Mi") != as_it_was


def test_what_the_job_waits_for_changes_with_every_change_of_users_and_with_nothing_else() -> None:
    lines = [redis_config.user_line("one", [word], ("k:*",), ("get",)) for word in ("a", "b")]
    versions = {redis_config.acl_version(found) for found in (lines, lines[:1], lines[1:])}
    assert len(versions) == 3
    assert redis_config.acl_version(list(lines)) in versions
    for version in versions:
        assert (f"user {version} reset off" in redis_config.acl_file(lines)) == (
            version == redis_config.acl_version(lines)
        )


def test_two_passwords_count_while_one_takes_the_others_place() -> None:
    user = platforms.redis_user(passwords=pulumi.Output.secret(["opensesame", "before"]))
    rules = acl_of(lambda: platforms.redis(users=(user,)))["rest-service"]
    wanted = [f"#{hashlib.sha256(word).hexdigest()}" for word in (b"opensesame", b"before")]
    assert [rule for rule in rules if rule[0] == "#"] == wanted


def test_the_servers_own_users_keep_the_password_before_only_as_long_as_it_is_accepted() -> None:
    def known(*, accepts: bool) -> int:
        own = OwnPassword(generation=2, holds_previous=True, accepts_previous=accepts)
        rules = acl_of(lambda: platforms.redis(health=own, operator=own))
        assert len({sum(r[0] == "#" for r in rules[n]) for n in ("health", "operator")}) == 1
        return sum(rule[0] == "#" for rule in rules["health"])

    assert (known(accepts=True), known(accepts=False)) == (2, 1)


def test_clients_may_say_hello_before_anything_else() -> None:
    assert {"+hello", "+client|setinfo", "+ping"} <= set(acl()["rest-service"])
