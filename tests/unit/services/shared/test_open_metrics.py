"""Every metric of every service can be scraped as OpenMetrics, which is stricter than the older
text."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import services
from services.shared.runtime.metrics import new_registry


def holders() -> Iterator[type[Any]]:
    """What registers metrics when it is given a registry and nothing else."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if not module.name.endswith(("metrics", "consumer_metrics")):
            continue
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            takes = [*inspect.signature(found).parameters]
            if found.__module__ == module.name and takes == ["registry"]:
                yield found


FOUND = list(holders())


def test_they_are_found() -> None:
    names = {found.__name__ for found in FOUND}
    assert names >= {"HttpMetrics", "RelayMetrics", "WorkerMetrics", "IngestMetrics"}


@pytest.mark.parametrize("holder", FOUND, ids=lambda found: found.__module__)
def test_its_metrics_are_good_open_metrics(holder: Any) -> None:
    registry: CollectorRegistry = new_registry()
    holder(registry)
    text = generate_latest(registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families
    for name, family in families.items():
        assert family.documentation, f"{name} does not say what it is"
        if family.type == "histogram":
            assert not name.endswith(("_total", "_count", "_sum"))
