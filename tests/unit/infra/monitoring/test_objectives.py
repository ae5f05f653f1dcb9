import importlib
import importlib.util
import inspect
from dataclasses import replace
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from infra.model.records import RECORDS
from infra.model.services import Port, Service
from infra.monitoring import burn_rates, openslo, slos
from infra.monitoring.burn_rates import ObjectiveError
from infra.monitoring.indicators import Answered, Within
from infra.monitoring.slos import Promise
from services.shared.grpc.load import Load
from services.shared.grpc.metrics import GrpcMetrics
from services.shared.runtime.metrics import HttpMetrics, new_registry
from tests.harness.population import FRONT, SMALL, and_more


def test_every_service_of_the_platform_promises_something():
    promising = {slo.service for slo in slos.slos()}
    assert promising == set(RECORDS.service_names)


def test_a_service_that_is_reached_from_outside_promises_what_all_of_them_do():
    new = Service("new", "new", ports=(Port("http", 8081, entry="new"),))
    found = {slo.name: slo.target for slo in slos.slos(and_more(new)) if slo.service == "new"}
    assert found == {"new-availability": 0.999, "new-latency": 0.95}


def test_one_that_is_called_by_grpc_promises_the_same_of_its_calls():
    new = Service("new", "new", ports=(Port("http", 8080), Port("grpc", 50052, "grpc", "new")))
    found = {slo.name: slo for slo in slos.slos(and_more(new)) if slo.service == "new"}
    assert {name: slo.target for name, slo in found.items()} == {
        "new-availability": 0.999,
        "new-latency": 0.95,
    }
    assert all("grpc_server_" in slo.bad and "http_" not in slo.bad for slo in found.values())


def test_one_that_consumes_and_is_called_promises_both():
    found = {slo.name for slo in slos.slos() if slo.service == "grpc-service"}
    kinds = ("availability", "latency", "freshness")
    assert found == {f"grpc-service-{kind}" for kind in kinds}


def test_a_service_that_consumes_promises_not_to_fall_behind():
    found = {slo.name: slo.target for slo in slos.slos(SMALL) if slo.service == "worker"}
    assert found == {"worker-freshness": 0.99}


def test_a_service_inside_promises_nothing_until_somebody_says_what():
    new = replace(FRONT, name="inner", ports=(Port("http", 8081),))
    assert not [slo for slo in slos.slos(and_more(new)) if slo.service == "inner"]


def test_names_of_objectives_are_unique():
    names = [slo.name for slo in slos.slos()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("slo", slos.slos(), ids=lambda slo: slo.name)
def test_an_objective_says_what_it_promises(slo: slos.Slo):
    assert slo.said.startswith(f"{slo.target * 100:g} % of ")


def bounds(package: str, histogram: str) -> set[float]:
    """The buckets that a service really has."""
    registry = new_registry()
    HttpMetrics(registry).duration.labels("GET", "/").observe(1)
    called = GrpcMetrics(registry, Load(calls=1, streams=1))
    called.seconds.labels("some.v1.Service", "Get", "unary").observe(1)
    if importlib.util.find_spec(f"services.{package}.metrics") is None:
        return _bounds(registry, histogram)  # what all have that are reached from outside
    module = importlib.import_module(f"services.{package}.metrics")
    made: Any
    for made in [it for it in vars(module).values() if inspect.isclass(it)]:
        if made.__module__ == module.__name__ and "registry" in inspect.signature(made).parameters:
            made(registry)
    return _bounds(registry, histogram)


def _bounds(registry: CollectorRegistry, histogram: str) -> set[float]:
    return {
        float(sample.labels["le"])
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"{histogram}_bucket"
    }


def test_a_time_is_promised_at_the_bound_of_a_bucket_that_the_service_has():
    packages = {service.name: service.package for service in RECORDS.services}
    for slo in slos.slos():
        indicator = slo.promise.indicator
        if isinstance(indicator, Within):
            of = bounds(packages[slo.service], indicator.histogram)
            assert indicator.seconds in of, (
                f"{slo.name}: {indicator.seconds} s is no bucket of {indicator.histogram}, so no "
                f"event would count as good, or all of them; it has {sorted(of)}"
            )


def test_promises_are_of_packages_that_there_are():
    unknown = slos.PROMISES.keys() - {service.package for service in RECORDS.services}
    assert not unknown, f"PROMISES has {unknown}, which no record runs: write the package's name"


@pytest.mark.parametrize("target", [0.9, 1.0])
def test_a_promise_whose_alerts_could_never_fire_is_refused(
    target: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(slos, "PROMISES", {"front": (Promise(Answered(), target),)})
    with pytest.raises(ObjectiveError, match=r"front-availability promises .* promise more than"):
        burn_rates.groups(SMALL)


def test_windows_and_factors_spend_what_they_say():
    """Of thirty days: two, five, ten and ten per cent, within the long window of each pair."""
    hours = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}
    spent = [burn.factor * hours[burn.long] / (30 * 24) for burn in burn_rates.BURNS]
    assert spent == pytest.approx([0.02, 0.05, 0.1, 0.1])
    assert [burn.spent for burn in burn_rates.BURNS] == [
        f"{s:.0%} of the budget".replace("%", " %") for s in spent
    ]


def test_openslo_has_every_objective_with_queries_that_can_be_read():
    documents = list(yaml.safe_load_all(openslo.exported()))
    assert {document["apiVersion"] for document in documents} == {"openslo/v1"}
    found = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "SLO"}
    services = {d["metadata"]["name"] for d in documents if d["kind"] == "Service"}

    assert {name: spec["objectives"][0]["target"] for name, spec in found.items()} == {
        slo.name: slo.target for slo in slos.slos()
    }
    for spec in found.values():
        assert spec["service"] in services
        assert spec["timeWindow"] == [{"duration": "30d", "isRolling": True}]
        ratio = spec["indicator"]["spec"]["ratioMetric"]
        for part in ("bad", "total"):
            promql_parser.parse(ratio[part]["metricSource"]["spec"]["query"])
