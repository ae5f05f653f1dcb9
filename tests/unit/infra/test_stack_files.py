"""The three committed stack files, `Pulumi.yaml` and the published schema."""

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bootstrap.checkout import DOCUMENTED_PORTS
from bootstrap.cluster.node import NODE_PORTS
from bootstrap.program import LOCAL_STACKS
from components.kit.quantities import amount
from infra.model import schema
from infra.model.edges import edges
from infra.model.records import RECORDS
from infra.model.servers import Server
from infra.model.settings import PlatformSettings, ResourceSettings
from infra.model.settings.services import ReplicaRange
from infra.stack import diff
from infra.stack.config import ConfigError, load_file
from tests.harness.population import and_more

ROOT = Path(__file__).resolve().parents[3]
STACKS = ("airgap", "dev", "prod")


def text_of(stack: str) -> str:
    return (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")


def load(stack: str) -> PlatformSettings:
    return load_file(text_of(stack), f"Pulumi.{stack}.yaml")


def test_every_stack_file_is_one_that_these_tests_look_at():
    assert {p.name.split(".")[1] for p in ROOT.glob("Pulumi.*.yaml")} == set(STACKS)


@pytest.mark.parametrize("stack", LOCAL_STACKS)
def test_what_pulumi_leaves_in_a_local_stack_file_is_not_committed(stack: str):
    assert "encryptionsalt" not in text_of(stack)


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_loads_and_fits_the_published_schema(stack: str):
    load(stack)
    jsonschema.validate(yaml.safe_load(text_of(stack)), schema.stack_file_schema())


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("place", ["", "kafka", "postgres", "redis", "entry", "kubernetes"])
def test_a_stack_file_with_an_unknown_key_anywhere_is_refused(stack: str, place: str):
    document: dict[str, Any] = copy.deepcopy(yaml.safe_load(text_of(stack)))
    if place:
        document["config"][f"millrace:{place}"]["zzz"] = 1
    else:
        document["config"]["millrace:zzz"] = 1
    with pytest.raises(ConfigError, match="zzz: there is no such key"):
        load_file(yaml.safe_dump(document), f"Pulumi.{stack}.yaml")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema.stack_file_schema())


def test_an_editor_takes_keys_of_other_namespaces_and_asks_for_that_of_the_project():
    document = yaml.safe_load(text_of("dev"))
    document["config"]["aws:region"] = "eu-central-1"
    jsonschema.validate(document, schema.stack_file_schema())
    document["config"]["kafak"] = {}
    with pytest.raises(jsonschema.ValidationError, match="kafak"):
        jsonschema.validate(document, schema.stack_file_schema())


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_tells_editors_where_its_schema_is(stack: str):
    first = text_of(stack).splitlines()[0]
    assert first == f"# yaml-language-server: $schema=infra/model/{schema.SCHEMA_FILE.name}"


def test_the_published_schema_is_current():
    assert schema.SCHEMA_FILE.read_text(encoding="utf-8") == schema.rendered(), (
        "the settings changed: run `python -m infra.model.schema`"
    )


def test_pulumi_yaml_declares_exactly_the_settings_keys_each_with_type_and_description():
    declared: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())[
        "config"
    ]
    assert set(declared) == {f"millrace:{key}" for key in schema.settings_keys()}
    for key, row in declared.items():
        assert row["type"] in ("object", "boolean"), key
        assert row["description"], key
        assert "default" not in row, f"{key}: defaults live in infra/model/settings only"


@pytest.mark.parametrize("stack", ["airgap", "dev"])
def test_every_entry_of_make_up_is_at_a_port_that_its_clusters_publish(stack: str):
    published = {DOCUMENTED_PORTS[name] for name in NODE_PORTS}
    assert set(load(stack).entry.ports.values()) <= published


@pytest.mark.parametrize("stack", ["airgap", "dev"])
def test_the_one_node_of_make_up_takes_a_source_and_its_copy(stack: str):
    assert load(stack).mysql_of("telemetry-database").replicas > 1
    assert load(stack).kubernetes.spread == "prefer", "the copy would wait for a second host"


@pytest.mark.parametrize("stack", ["airgap", "dev"])
def test_a_stack_file_of_make_up_is_written_as_pulumi_writes_it(stack: str):
    """It writes the file anew, in its own style: that must leave a checkout without changes."""
    flow = [line for line in text_of(stack).splitlines() if re.search(r"\{[^}]", line)]
    assert flow == []


def test_no_stack_file_holds_a_secret():
    for stack in STACKS:
        assert "secure:" not in text_of(stack)


def test_airgap_requests_fit_two_cores_with_room_for_the_cluster_and_a_rollout():
    settings = load("airgap")
    # Room to grow: four services that are not there yet, beside the one that is added in a drill.
    more = (4 * 3, settings.services.of("one-to-come").resources)
    cores, memory = asked_for(settings, more, spare=1)
    assert cores <= 1.75, f"{cores} of 2 cores requested; Jobs and the cluster need the rest"
    assert memory <= 12 * 2**30, f"{memory / 2**30:.1f} GiB of 24 requested"


def test_dev_requests_fit_two_cores():
    cores, _ = asked_for(load("dev"), spare=0)
    assert cores <= 1.75, f"{cores} of 2 cores requested; Jobs and the cluster need the rest"


def asked_for(
    settings: PlatformSettings, *more: tuple[int, ResourceSettings], spare: int
) -> tuple[float, float]:
    """Cores and bytes that all pods request, with `spare` more of each service as it rolls. What an
    autoscaler adds comes if there is room for it."""
    pods = [
        (settings.kafka.brokers, settings.kafka.resources),
        *((1, settings.postgres_of(n).resources) for n in RECORDS.server_names(engine="postgres")),
        *(
            (settings.mysql_of(n).replicas, settings.mysql_of(n).resources)
            for n in RECORDS.server_names(engine="mysql")
        ),
        *((1, settings.redis_of(n).resources) for n in RECORDS.server_names(engine="redis")),
        (len(archivers()), settings.backups.archiver_resources),
        *(
            (least(settings.services.of(n).replicas) + spare, settings.services.of(n).resources)
            for n in RECORDS.service_names
        ),
        *more,
    ]
    return (
        sum(count * amount(size.requests.cpu) for count, size in pods),
        sum(count * amount(size.requests.memory) for count, size in pods),
    )


def archivers() -> set[str]:
    """Of every server whose changes are archived."""
    return {end.name for edge in edges(RECORDS) if "archiver" in (end := edge.source).name}


def least(replicas: int | ReplicaRange) -> int:
    return replicas if isinstance(replicas, int) else replicas.min


def test_production_survives_the_loss_of_one_kafka_node_and_keeps_its_volumes():
    settings = load("prod")
    kafka = settings.kafka
    assert (kafka.controllers, kafka.brokers) == (3, 3)
    assert (kafka.replication_factor, kafka.min_insync_replicas) == (3, 2)
    assert settings.protect
    assert settings.kubernetes.volume_retention == "Retain"
    assert settings.entry.type == "LoadBalancer"


def test_production_never_builds_its_services_image():
    reference = load("prod").images.overrides["services"]
    assert "@sha256:" in reference


def test_auditors_see_every_difference_with_the_defaults_filled_in(
    capsys: pytest.CaptureFixture[str],
):
    assert diff.main(["dev", "prod"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line for line in lines}
    # dev does not mention the number of brokers; its default shows all the same.
    assert shown["kafka.brokers"].endswith("dev: 1  prod: 3")
    assert "services.rest-service.replicas.max" in shown
    assert "redis.maxMemory" in shown


def test_auditors_see_the_size_of_a_server_that_only_one_stack_file_mentions():
    records = and_more(Server("second-db", "postgres"), Server("second-redis", "redis"))

    def stack(servers: dict[str, Any]) -> dict[str, str]:
        document: dict[str, Any] = {key: {} for key in schema.settings_keys()}
        document |= {"images": {"source": "official"}, "entry": {"ports": {"http": 30080}}}
        document |= {"protect": False, "servers": servers}
        settings = PlatformSettings.model_validate(document, context={"records": records})
        return diff.flat(settings, records)

    silent, other = stack({}), stack({"postgres": {"second-db": {"maxConnections": 77}}})
    key = "servers.postgres.second-db.maxConnections"
    assert (silent[key], other[key]) == ("300", "77")
    assert {k for k in silent if silent[k] != other.get(k)} == {key}
    assert silent["servers.redis.second-redis.maxMemory"] == '"128Mi"'


def test_equal_stacks_have_no_differences():
    assert diff.differences(load("dev"), load("dev")) == []


def test_a_stack_that_is_not_there_is_named_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
):
    assert diff.main(["dev", "prd"]) == 1
    assert "there is no Pulumi.prd.yaml; stacks here: airgap, dev, prod" in capsys.readouterr().err
