"""The generated parts of the pages say what the code does."""

import dataclasses
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bootstrap.checkout import Checkout
from bootstrap.environment import own_variables
from docs.reference import accepts, edges, services
from docs.reference.pages import PAGES, current
from infra.model import settings
from infra.model.edges import edges as every_edge
from infra.model.environment import Environment
from infra.model.records import RECORDS
from tests.harness.population import but_with
from tests.harness.repository import ROOT, texts

CONFIGURATION, SERVICES, _ = (page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_reference_is_current(page: Path):
    assert page.read_text(encoding="utf-8") == current(page), (
        "the settings or the records changed: run `make docs`"
    )


def test_the_diagram_shows_what_calls_what_and_leaves_nobody_out():
    records = but_with("front", calls=("worker",))
    drawn = edges.diagram(records)
    for name in (*records.service_names, *(server.name for server in records.servers)):
        assert name in drawn
    assert "service_front -->|8080| service_worker" in drawn
    assert "job_migrate_frontdb -.->|5432| server_postgres" in drawn
    assert drawn.count("subgraph") == drawn.count("    end\n")


def test_what_watches_is_drawn_whole_and_the_rest_once_for_all():
    drawn = edges.watching()
    ends = {end for edge in every_edge(RECORDS) for end in (edge.source, edge.target)}
    watching = {end.name for end in ends if end.kind in ("monitoring", "logging")}
    assert {"prometheus", "alertmanager", "jaeger", "loki", "grafana", "log-reader"} < watching
    for name in watching:
        assert f"[{name}]" in drawn
    assert "service -->|4318| monitoring_collector" in drawn
    assert "rest-service" not in drawn
    assert drawn.count("subgraph") == drawn.count("    end\n")


def all_models() -> list[type[BaseModel]]:
    of_stack_files = [
        model
        for model in vars(settings).values()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and model.__module__.startswith(settings.__name__)
    ]
    return [*of_stack_files, *services.models()]


@pytest.mark.parametrize("model", all_models(), ids=lambda model: model.__name__)
def test_every_setting_says_what_it_means_and_every_validator_what_it_insists_on(
    model: type[BaseModel],
):
    top = model is settings.PlatformSettings
    unsaid = [
        name
        for name, field in model.model_fields.items()
        if not field.description and not (top and accepts.model_of(field)) and name != "root"
    ]
    assert not unsaid, "give them docstrings"
    assert not [said for said in accepts.refusals(model) if "no docstring" in said]


def test_every_program_of_the_services_has_its_variables_on_the_page():
    assert {"services.migrate", "services.rest_service"} <= set(services.programs())
    for program, models in services.programs().items():
        assert not models or f"`{program}`" in SERVICES


def test_what_make_exports_and_env_sets_is_on_the_page():
    exported = re.findall(r"^export ((?!UV)[A-Z_ ]+)$", texts()["Makefile"], re.MULTILINE)
    checkout = Checkout(root=ROOT, cache=ROOT)
    names = {name for line in exported for name in line.split()} | set(own_variables(checkout))
    assert names >= {"STACK", "KUBECONFIG"}
    missing = {name for name in names if f"`{name}`" not in CONFIGURATION}
    assert missing <= {"PULUMI_SKIP_UPDATE_CHECK", "VIRTUAL_ENV"}, "say what they are for"


def test_the_programs_variables_are_each_on_the_page():
    count = CONFIGURATION.count("\n| `MILLRACE_")
    assert count == len(dataclasses.fields(Environment)) > 0
