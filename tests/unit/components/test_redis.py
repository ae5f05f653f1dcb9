"""Redis: who may do what, and the difference between a cache and a store."""

import base64
import hashlib

from components.servers.redis import config as redis_config
from tests.harness import platforms
from tests.harness.recording import record


def conf(shape: str) -> list[str]:
    data = platforms.recorded(shape).one("ConfigMap", "redis-cache-config").inputs["data"]
    return data["redis.conf"].splitlines()


def acl() -> dict[str, list[str]]:
    secret = platforms.recorded("Redis").one("Secret", "redis-cache-acl")
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
    for name, rules in acl().items():
        if name != "default":
            assert rules[-2:] == ["-@dangerous", "-@admin"]


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
    assert "cat /etc/millrace/secrets/health/password" in script
    assert "PONG" in script


def test_a_changed_user_rolls_the_server() -> None:
    def rolled(key: str) -> str:
        user = platforms.redis_user(keys=(key,))
        made = record(lambda: platforms.redis(users=(user,))).of("StatefulSet")[0].inputs["spec"]
        return made["template"]["metadata"]["annotations"]["millrace.dev/config-hash"]

    assert rolled("a:*") != rolled("b:*")


def test_clients_may_say_hello_before_anything_else() -> None:
    assert {"+hello", "+client|setinfo", "+ping"} <= set(acl()["rest-service"])
