"""What Prometheus says is understood, and what it cannot say is a sentence."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bootstrap import prometheus
from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from bootstrap.prometheus import AwayError, Grid, Prometheus, QueryError, Sample
from infra.model.objects import MONITORING
from tests.harness.prometheus_api import NOW, Api, error, instant, series, served

GRID = Grid(start=1000, step=10, count=5)


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Api()) as running:
        yield running


@pytest.fixture
def asking(api: Api) -> Iterator[Prometheus]:
    with httpx.Client(base_url=api.url, trust_env=False) as http:
        yield Prometheus(http)


def test_values_are_put_where_their_moments_are_and_gaps_stay_gaps(api: Api, asking: Prometheus):
    api.series = {"up": [series({"job": "a"}, {1000: "1", 1010: "1.5", 1040: "-3e-2"})]}
    answer = asking.range("up", GRID)
    assert answer.series[0].labels == {"job": "a"}
    assert answer.series[0].values == (1.0, 1.5, None, None, -0.03)
    assert api.asked[-1] == {
        "query": "up", "start": "1000", "end": "1040", "step": "10", "limit": "200",
    }  # fmt: skip


def test_what_is_no_number_is_a_gap_and_counted(api: Api, asking: Prometheus):
    values = {1000: "NaN", 1010: "+Inf", 1020: "-Inf", 1030: "0"}
    api.series = {"a / b": [series({}, values)]}
    answer = asking.range("a / b", GRID)
    assert answer.series[0].values == (None, None, None, 0.0, None)
    assert (answer.undefined, answer.infinite) == (1, 2)


def test_of_a_label_with_too_many_values_a_part_is_looked_at_and_that_is_said(
    api: Api, asking: Prometheus
):
    api.series = {"m": [series({"id": str(n)}, {1000: "1"}) for n in range(500)]}
    answer = asking.range("m", GRID)
    assert len(answer.series) == prometheus.MOST_SERIES
    assert answer.warnings == ("500 series; only 200 were looked at",)


def test_warnings_of_the_server_are_kept(api: Api, asking: Prometheus):
    api.series, api.warnings = {"m": [series({}, {1000: "1"})]}, ["results truncated due to limit"]
    assert asking.range("m", GRID).warnings == ("results truncated due to limit",)


def test_a_query_that_is_refused_says_why(api: Api, asking: Prometheus):
    api.errors = {"rate(": error("bad_data", "1:6: parse error: unclosed left parenthesis", 400)}
    with pytest.raises(QueryError, match=r"bad_data: 1:6: parse error"):
        asking.range("rate(", GRID)


def test_an_answer_larger_than_a_page_can_be_is_not_taken(
    api: Api, asking: Prometheus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(prometheus, "MOST_BYTES", 1024)
    api.series = {"m": [series({"id": "x" * 2000}, {1000: "1"})]}
    with pytest.raises(QueryError, match="larger than"):
        asking.range("m", GRID)


def test_a_server_that_is_something_else_is_not_believed(api: Api, asking: Prometheus):
    api.errors = {"up": (200, "<html>a login page</html>")}
    with pytest.raises(AwayError, match="answers with 200, but not as Prometheus"):
        asking.range("up", GRID)


def test_nobody_there_is_said_with_the_address():
    with (
        httpx.Client(base_url="http://127.0.0.1:9", trust_env=False) as http,
        pytest.raises(AwayError, match=r"http://127\.0\.0\.1:9/? does not answer: "),
    ):
        Prometheus(http).time()


def test_time_names_and_alerts_that_fire(api: Api, asking: Prometheus):
    api.names = ["up", "ALERTS"]
    alert = {"labels": {"alertname": "A"}, "annotations": {}, "activeAt": "2026-01-02T03:04:05Z"}
    api.alerts = [alert | {"state": "firing"}, alert | {"state": "pending"}]
    assert asking.time() == NOW
    assert asking.names() == {"up", "ALERTS"}
    assert [one.labels["alertname"] for one in asking.firing()] == ["A"]


def test_of_one_moment_there_is_a_value_each_and_what_is_no_number_is_left_out(
    api: Api, asking: Prometheus
):
    api.instants = {"up": [instant("1.5", job="a"), instant("NaN", job="b")]}
    assert asking.now("up") == (Sample({"job": "a"}, 1.5),)
    assert api.asked[-1] == {"query": "up", "limit": "200"}
    asking.now("up", 1000.5)
    assert api.asked[-1] == {"query": "up", "limit": "200", "time": "1000.500"}
    with pytest.raises(QueryError, match="is a scalar, not series"):
        asking.now("time()")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_all_questions_together_take_no_longer_than_was_said(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    clock = Clock()
    monkeypatch.setattr(prometheus, "time", clock)
    with httpx.Client(base_url=api.url, trust_env=False) as http:
        asking = Prometheus(http, within=60)
        assert asking.time() == NOW
        clock.now += 59
        api.delay = 600
        began = time.monotonic()
        with pytest.raises(QueryError, match="no answer within 60 s"):
            asking.firing()  # for the second that is left
        clock.now += 1
        with pytest.raises(QueryError, match="no answer within 60 s"):
            asking.now("up")
        # Far more than a busy machine adds, and less than a question without a limit may take.
        assert time.monotonic() - began < 15
        api.over.set()


def test_it_is_at_the_checkouts_port_with_the_clusters_ca(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    asked: list[tuple[str, ...]] = []

    def said(_: Kube, *args: str, **__: object) -> object:
        asked.append(args)
        return {"data": {"ca.crt": "PEM"}}

    monkeypatch.setattr(Kube, "json", said)
    found = prometheus.published(Kube(Checkout(tmp_path, tmp_path, port_offset=100)))
    assert found == prometheus.Where("https://localhost:30190", "PEM")
    assert asked == [("get", "configmap", "millrace-ca", "-n", MONITORING)]
