"""What the program refuses before it registers anything, and what it does when it only renders."""

import dataclasses
import re
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime.config import set_all_config

from components.kit.references import ImageError
from infra.images.catalogue import Catalogue
from infra.images.own import (
    BACKUPS,
    LOADTESTS,
    SERVICES,
    OwnImage,
    check_images,
    own_image,
    source_hash,
)
from infra.model.environment import Environment, VariableError
from infra.model.services import Port
from infra.model.settings import EntrySettings, KubernetesSettings, PlatformSettings
from infra.stack import program
from infra.stack.config import load_file
from infra.stack.diff import ROOT, load_stack
from infra.stack.placeholders import PlaceholderError, refuse_placeholders
from infra.stack.protection import StandInError, refuse_standins
from infra.stack.provider import kubernetes_provider
from infra.stack.urls import url
from tests.harness.population import FRONT, SMALL, and_more, but_with
from tests.harness.recording import record

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("made", [SERVICES, LOADTESTS, *BACKUPS.values()])
def test_a_render_names_the_image_it_would_build_and_builds_nothing(tmp_path: Path, made: OwnImage):
    environment = Environment(render_dir=tmp_path)
    catalogue = Catalogue("official", {})
    check_images(catalogue, environment)
    image = own_image(made, catalogue, environment, pulumi.ResourceOptions())
    assert image == f"localhost:30500/millrace/{made.name}:src-{source_hash(made)}"


def test_a_render_goes_to_its_directory_and_to_no_cluster(tmp_path: Path):
    environment = Environment(render_dir=tmp_path)
    recording = record(lambda: kubernetes_provider(KubernetesSettings(), environment))
    inputs = recording.one("kubernetes", "kubernetes").inputs
    assert inputs["renderYamlToDirectory"] == str(tmp_path)


def test_a_cluster_without_a_name_is_refused_with_both_ways_out():
    with pytest.raises(pulumi.RunError, match=r"clusterIdentifier .*MILLRACE_CLUSTER_ID"):
        kubernetes_provider(KubernetesSettings(), Environment())


def test_an_image_to_build_without_a_registry_is_refused():
    with pytest.raises(ImageError, match="MILLRACE_REGISTRY"):
        check_images(Catalogue("official", {}), Environment())


def test_a_load_generator_to_build_is_refused_by_its_own_name():
    given = Catalogue("official", {"services": f"r.example/s@{DIGEST}"})
    check_images(given, Environment())
    with pytest.raises(ImageError, match=r"the loadtests image .*overrides\.loadtests"):
        check_images(given, Environment(), (SERVICES, LOADTESTS))


def test_an_image_given_by_reference_needs_no_registry():
    check_images(Catalogue("official", {"services": f"r.example/s@{DIGEST}"}), Environment())


def test_a_missing_server_image_stops_the_program(tmp_path: Path):
    environment = Environment(images_file=tmp_path / "images.json", registry="localhost:1")
    with pytest.raises(ImageError, match="does not exist"):
        check_images(Catalogue("local", {}, environment.images_file), environment)


def test_trouble_with_images_reaches_the_user_without_a_traceback_and_registers_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(program.config, "load", lambda _records: load_stack("airgap"))
    monkeypatch.delenv("MILLRACE_IMAGES_FILE", raising=False)

    def refused() -> None:
        with pytest.raises(pulumi.RunError, match="MILLRACE_IMAGES_FILE is not set"):
            program.run()

    assert record(refused).resources == []


def test_records_that_contradict_each_other_stop_the_program_before_anything_is_registered(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(program.config, "load", lambda _records: load_stack("dev"))
    monkeypatch.setenv("MILLRACE_REGISTRY", "localhost:1")
    monkeypatch.setenv("MILLRACE_CLUSTER_ID", "test")
    records = and_more(dataclasses.replace(FRONT, name="front-2"))

    def refused() -> None:
        with pytest.raises(pulumi.RunError, match=r"front's .* and front-2's"):
            program.run(records)

    assert record(refused).resources == []


def test_the_stack_file_is_read_by_the_records_that_are_run():
    set_all_config({"millrace:services": '{"relai": {}}'})
    try:
        with pytest.raises(pulumi.RunError, match="'relai'; did you mean 'relay'"):
            program.run(SMALL)
    finally:
        set_all_config({})


def test_the_source_hash_follows_contents_and_names_and_ignores_bytecode(tmp_path: Path):
    (tmp_path / "services").mkdir()
    for name in ("pyproject.toml", "uv.lock", "services/a.py"):
        (tmp_path / name).write_text(name)
    first = source_hash(SERVICES, tmp_path)
    cached = tmp_path / "services" / "__pycache__"
    cached.mkdir()
    (cached / "a.pyc").write_text("x")
    assert source_hash(SERVICES, tmp_path) == first
    (tmp_path / "services" / "a.py").write_text("changed")
    second = source_hash(SERVICES, tmp_path)
    (tmp_path / "services" / "a.py").rename(tmp_path / "services" / "b.py")
    assert len({first, second, source_hash(SERVICES, tmp_path)}) == 3


def test_an_offset_that_is_no_number_names_the_variable():
    with pytest.raises(VariableError, match="MILLRACE_PORT_OFFSET is 'many'"):
        Environment.read({"MILLRACE_PORT_OFFSET": "many"})


def test_empty_variables_count_as_unset():
    assert (
        Environment.read({"MILLRACE_RENDER_DIR": "", "MILLRACE_PORT_OFFSET": ""}) == Environment()
    )


@pytest.mark.parametrize(
    ("entry", "offset", "expected"),
    [
        ({"ports": {"http": 30080}}, 0, "http://localhost:30080"),
        ({"ports": {"http": 30080}}, 100, "http://localhost:30180"),
        (
            {"type": "LoadBalancer", "host": "m.example", "ports": {"http": 80}},
            0,
            "http://m.example",
        ),
        (
            {
                "type": "LoadBalancer",
                "host": "m.example",
                "ports": {"http": 443},
                "tls": True,
                "annotations": {"a": "b"},
            },
            100,
            "https://m.example",
        ),
    ],
)
def test_the_url_is_the_one_a_user_types(entry: dict[str, object], offset: int, expected: str):
    settings = EntrySettings.model_validate(entry, context={"records": SMALL})
    assert url(settings, Environment(port_offset=offset), "http", "http") == expected


def test_a_grpc_client_is_given_host_and_port():
    records = but_with("front", ports=(*FRONT.ports, Port("grpc", 9000, "grpc", entry="grpc")))
    settings = EntrySettings.model_validate(
        {"ports": {"http": 30080, "grpc": 30090}}, context={"records": records}
    )
    assert url(settings, Environment(port_offset=100), "grpc", "grpc") == "localhost:30190"


def filled_in() -> PlatformSettings:
    """Production as its owner leaves it."""
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    for mark, value in (
        ("0" * 64, "ab" * 32),
        ("registry.example.com", "registry.mill.test"),
        ("auth.millrace.example.com", "auth.mill.test"),
        ("data.millrace.example.com", "data.mill.test"),
        ("millrace.example.com", "mill.test"),
        ("storageClass: placeholder", "storageClass: gp3"),
        ("bucket: placeholder", "bucket: mill-backups"),
        ("certificate/placeholder", "certificate/6b1c"),
    ):
        assert mark in text
        text = text.replace(mark, value)
    return load_file(text, "Pulumi.prod.yaml")


def test_every_placeholder_of_the_production_stack_is_refused_by_its_key():
    with pytest.raises(PlaceholderError) as refused:
        refuse_placeholders(load_stack("prod"), Environment())
    keys = re.findall(r"^  - millrace:(\S+) is ", str(refused.value), re.MULTILINE)
    assert sorted(keys) == [
        "backups.s3.bucket",
        "entry.annotations.service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
        "entry.host",
        "entry.hosts.auth",
        "entry.hosts.data",
        "entry.hosts.grpc",
        "images.overrides.backup-mysql",
        "images.overrides.backup-postgres",
        "images.overrides.kafka-metrics",
        "images.overrides.services",
        "kubernetes.storageClass",
    ]


def test_a_production_stack_whose_placeholders_are_filled_in_is_accepted():
    refuse_placeholders(filled_in(), Environment())


def with_host(host: str) -> PlatformSettings:
    settings = filled_in()
    return settings.model_copy(update={"entry": settings.entry.model_copy(update={"host": host})})


@pytest.mark.parametrize(
    "host", ["api.myexample.com", "my-example.com", "example.company", "example.com.mill.test"]
)
def test_a_domain_that_only_looks_like_the_one_for_documentation_is_somebodys(host: str):
    refuse_placeholders(with_host(host), Environment())


@pytest.mark.parametrize("host", ["example.com", "api.example.com", "placeholder"])
def test_the_domain_for_documentation_is_a_placeholder_and_so_is_what_is_below_it(host: str):
    with pytest.raises(PlaceholderError, match=rf'entry.host is "{host}"'):
        refuse_placeholders(with_host(host), Environment())


def test_placeholders_are_good_enough_for_a_rendering(tmp_path: Path):
    refuse_placeholders(load_stack("prod"), Environment(render_dir=tmp_path))


@pytest.mark.parametrize("stack", ["airgap", "dev"])
def test_local_stacks_have_no_placeholders(stack: str):
    refuse_placeholders(load_stack(stack), Environment())


def test_a_protected_stack_is_never_made_on_stand_ins():
    on_standins = Environment.read({"MILLRACE_STANDINS": "1"})
    with pytest.raises(StandInError, match="official Pulumi CLI"):
        refuse_standins(filled_in(), on_standins, preview=False)


def test_stand_ins_may_preview_and_render_a_protected_stack_and_run_any_other(tmp_path: Path):
    refuse_standins(filled_in(), Environment(standins=True), preview=True)
    refuse_standins(filled_in(), Environment(standins=True, render_dir=tmp_path), preview=False)
    refuse_standins(load_stack("airgap"), Environment(standins=True), preview=False)
    refuse_standins(filled_in(), Environment(), preview=False)


def test_a_protected_stack_on_stand_ins_stops_before_anything_is_registered(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(program.config, "load", lambda _records: filled_in())
    monkeypatch.setenv("MILLRACE_STANDINS", "1")

    def refused() -> None:
        with pytest.raises(pulumi.RunError, match="stand-in"):
            program.run()

    assert record(refused).resources == []
