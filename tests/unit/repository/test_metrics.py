"""The list of metrics says what the services' code says, and what cannot be read is not missed."""

import ast

import pytest

from docs.reference import metrics
from docs.reference.metrics import Reader, Registered, UnreadableError

HEAD = "from prometheus_client import Counter, Gauge\n"


def read(text: str) -> list[Registered]:
    tree = ast.parse(text)
    reader = Reader("services.some", tree)
    return [one for part in tree.body for one in reader.within(part)]


def test_the_list_is_current():
    assert metrics.FILE.read_text(encoding="utf-8") == metrics.current(), (
        "a service's metrics changed: run `make docs`"
    )


@pytest.mark.parametrize(
    "text",
    [
        'Gauge("a", "Text.", ["x"], registry=registry)',
        "def gauge(name, text):\n    return Gauge(name, text, ['x'])\ngauge('a', 'Text.')",
        "TABLE: Final = {'a': 'Text.'}\nmade = {n: Gauge(n, t, ['x']) for n, t in TABLE.items()}",
    ],
)
def test_a_metric_is_read_however_it_is_written(text: str):
    assert read(HEAD + text) == [Registered("a", "gauge", "Text.", ("x",))]


def test_a_counter_has_the_name_by_which_it_is_asked_for():
    assert [one.name for one in read(f'{HEAD}Counter("a", "Text.")')] == ["a_total"]


def test_a_counter_of_the_standard_library_is_none():
    assert read("from collections import Counter\nCounter(words)") == []


@pytest.mark.parametrize("call", ['Gauge(f"a_{b}", "Text.")', 'Gauge("a", "Text.", labels_of(x))'])
def test_a_metric_that_cannot_be_read_is_an_error_with_its_place(call: str):
    with pytest.raises(UnreadableError, match=r"services\.some, line 2: .*write them out"):
        read(HEAD + call)


def test_who_has_no_registry_registers_nothing():
    assert metrics.registered("services.migrate") == ()
