"""Spans get to the collector; one that is away, slow or wrong costs spans and nothing else."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.shared.runtime import context, span_counts
from services.shared.runtime.metrics import new_registry
from services.shared.tracing import spans
from services.shared.tracing.settings import TracingSettings
from services.shared.tracing.setup import traced
from tests.harness.collector import receiver
from tests.harness.traces import CALLER

ROOT = Path(__file__).resolve().parents[5]
NOWHERE = "http://127.0.0.1:9"
PATIENT = 30.0
"""Seconds that nothing takes but on a busy machine."""


class Counts:
    """What became of spans since it was made."""

    def __init__(self) -> None:
        self._before = self._now()

    def _now(self) -> dict[str, int]:
        return {one: span_counts.counted(one) for one in ("exported", "refused", "dropped")}

    @property
    def new(self) -> dict[str, int]:
        return {name: count - self._before[name] for name, count in self._now().items()}


def patient(endpoint: str, **more: Any) -> TracingSettings:
    """What is to arrive is not given up before."""
    return TracingSettings(
        endpoint=endpoint, timeout_seconds=PATIENT, shutdown_seconds=PATIENT, **more
    )


def make(number: int) -> None:
    for _ in range(number):
        _, span = spans.server(CALLER, quiet=False)
        assert span is not None
        spans.answered(span, "GET", "/", 200, {})


class Noticed(threading.Event):
    """One for which somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.awaited.set()
        return super().wait(timeout)


def wait_until(what: object, seconds: float = PATIENT) -> None:
    until = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.01)


def test_spans_arrive_and_say_which_process_they_are_of() -> None:
    counts = Counts()
    with receiver() as collector:
        settings = patient(collector.url, service_version="1.2", pod="rest-1", namespace="apps")
        with traced("rest-service", settings):
            make(3)
        assert collector.names == ["GET /"] * 3
        assert collector.paths == {"/v1/traces"}
        found = collector.resource
    assert (
        found.items()
        >= {
            "service.name": "rest-service",
            "service.namespace": "millrace",
            "service.version": "1.2",
            "service.instance.id": "rest-1",
            "k8s.pod.name": "rest-1",
            "k8s.namespace.name": "apps",
        }.items()
    )
    assert counts.new == {"exported": 3, "refused": 0, "dropped": 0}
    assert not spans.on()


def test_a_full_batch_is_sent_at_once_and_the_rest_after_the_delay() -> None:
    with receiver() as collector:
        # Not by the delay, which is longer than is waited for.
        with traced("a", patient(collector.url, batch=5, delay_seconds=60)):
            make(5)
            wait_until(lambda: len(collector.names) == 5)
        with traced("a", patient(collector.url, batch=5, delay_seconds=0.5)):
            make(6)
            wait_until(lambda: len(collector.names) == 11)


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits() -> None:
    counts = Counts()
    with receiver() as collector:
        collector.go_on = held = Noticed()
        with traced("a", patient(collector.url, batch=64, most_waiting=64)):
            make(64)
            # Then these are taken out of the queue, and the collector has them.
            assert held.awaited.wait(PATIENT)
            started = time.monotonic()
            make(1064)
            assert time.monotonic() - started < 10
            # Of those that wait nothing has come: nobody waited for that.
            assert counts.new == {"exported": 0, "refused": 0, "dropped": 1000}
            held.set()
        assert len(collector.names) == 128
    assert counts.new == {"exported": 128, "refused": 0, "dropped": 1000}


@pytest.mark.parametrize("status", [400, 503])
def test_what_the_collector_does_not_take_is_counted(status: int) -> None:
    counts = Counts()
    with receiver() as collector:
        collector.status = status
        settings = TracingSettings(
            endpoint=collector.url, timeout_seconds=0.3, shutdown_seconds=PATIENT
        )
        with traced("a", settings):
            make(2)
    assert counts.new == {"exported": 0, "refused": 2, "dropped": 0}


def test_a_collector_that_is_away_holds_up_no_end() -> None:
    counts = Counts()
    settings = TracingSettings(endpoint=NOWHERE, timeout_seconds=30, shutdown_seconds=0.3)
    started = time.monotonic()
    with traced("a", settings):
        make(10)
    assert time.monotonic() - started < 10
    wait_until(lambda: counts.new["refused"] == 10)  # else in the middle of another test


def test_nor_does_one_that_accepts_and_says_nothing() -> None:
    counts = Counts()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = TracingSettings(
            endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
            timeout_seconds=30,
            shutdown_seconds=0.3,
        )
        started = time.monotonic()
        with traced("a", settings):
            make(10)
        assert time.monotonic() - started < 10
    wait_until(lambda: counts.new["refused"] == 10)  # else in the middle of another test


def test_without_an_endpoint_nothing_is_on_and_what_sends_is_not_loaded() -> None:
    with traced("a", TracingSettings()):
        assert not spans.on()
    program = """
import importlib, pkgutil, sys
import services
apart = ("migrations", "scripts", "backup", "tracing.making", "tracing.export")
for one in pkgutil.walk_packages(services.__path__, "services."):
    if not any(name in one.name for name in apart):
        importlib.import_module(one.name)
from services.shared.tracing.settings import TracingSettings
from services.shared.tracing.setup import traced
with traced("a", TracingSettings()):
    # The framework loads the library's interface, and the client of Redis its metrics.
    senders = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.proto")
    loaded = [name for name in sys.modules if name.startswith((*senders, "requests", "urllib3"))]
print(loaded)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_sampling_is_the_processs_only_while_it_makes_spans() -> None:
    with traced("a", TracingSettings(endpoint=NOWHERE, sampling=1, shutdown_seconds=0)):
        assert context.TraceContext.new().sampled
    assert not context.TraceContext.new().sampled


def test_every_registry_has_the_counts() -> None:
    registry = new_registry()
    for outcome in ("exported", "refused", "dropped"):
        value = registry.get_sample_value("tracing_spans_total", {"outcome": outcome})
        assert value == span_counts.counted(outcome)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"endpoint": "https://collector:4318"}, "ca_file"),
        ({"endpoint": "collector:4318"}, "endpoint"),
        ({"endpoint": "http://collector:4318/"}, "endpoint"),
        ({"sampling": 1.5}, "sampling"),
        ({"batch": 1000, "most_waiting": 100}, "batch"),
    ],
)
def test_settings_that_would_not_do_are_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        TracingSettings.model_validate(wrong)
