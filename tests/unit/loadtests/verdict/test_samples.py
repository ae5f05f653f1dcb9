"""Exact samples: percentiles, stretches of time, points for the charts, and batches."""

import pytest

from loadtests.verdict.samples import MOST_REASONS, OTHER_REASONS, Batch, Samples, latencies

GET, POST = "GET /api/data/{id}", "POST /api/data"


def of(samples: Samples, name: str, since: float = 0.0, until: float = 1e9):
    (endpoint,) = (found for found in samples.summary(since, until) if found.name == name)
    return endpoint


def test_percentiles_are_values_that_were_measured_however_they_came() -> None:
    samples = Samples()
    for milliseconds in range(1000, 0, -1):
        samples.add(GET, at=1.0, milliseconds=milliseconds + 0.125)
    found = of(samples, GET)
    assert found.requests == 1000
    assert found.latencies is not None
    assert found.latencies.model_dump() == {
        "p50": 500.125,
        "p90": 900.125,
        "p95": 950.125,
        "p99": 990.125,
        "p999": 999.125,
        "mean": 500.625,
        "max": 1000.125,
    }


def test_an_endpoint_that_nobody_called_is_there_with_no_requests_and_no_latencies() -> None:
    samples = Samples(names=(POST,))
    samples.add(GET, at=0.0, milliseconds=5.0)
    assert [(found.name, found.requests) for found in samples.summary()] == [(GET, 1), (POST, 0)]
    assert of(samples, POST).latencies is None


def test_latencies_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        latencies([])


def test_a_summary_takes_its_first_moment_and_leaves_its_last() -> None:
    samples = Samples()
    for second in range(10):
        samples.add(GET, at=float(second), milliseconds=float(second))
    found = of(samples, GET, since=3.0, until=7.0)
    assert found.requests == 4
    assert found.latencies is not None
    assert (found.latencies.p50, found.latencies.max) == (4.0, 6.0)


def test_failures_are_counted_by_reason_and_their_time_counts() -> None:
    samples = Samples()
    samples.add(GET, at=0.0, milliseconds=10.0)
    samples.add(GET, at=0.0, milliseconds=3000.0, failure="503 store away")
    for _ in range(2):
        samples.add(GET, at=0.0, milliseconds=15000.0, failure="timeout")
    found = of(samples, GET)
    assert (found.requests, found.failures) == (4, 3)
    assert found.reasons == {"timeout": 2, "503 store away": 1}
    assert found.latencies is not None
    assert found.latencies.p95 == 15000.0


def test_reasons_that_never_repeat_do_not_grow_without_end() -> None:
    samples = Samples()
    for number in range(MOST_REASONS + 50):
        samples.add(GET, at=0.0, milliseconds=1.0, failure=f"no document {number}")
    reasons = of(samples, GET).reasons
    assert len(reasons) == MOST_REASONS + 1
    assert reasons[OTHER_REASONS] == 50


def test_batches_of_other_processes_make_the_same_summary_as_their_samples_one_by_one() -> None:
    whole, first, second = Samples(), Samples(), Samples()
    for number in range(200):
        failure = "500" if number % 7 == 0 else None
        one = (GET if number % 3 else POST, number / 10, float(number % 50), failure)
        whole.add(*one)
        (first if number % 2 else second).add(*one)
    gathered = Samples()
    for batch in (*first.take(), *second.take()):
        gathered.add_batch(batch)
    assert gathered.summary() == whole.summary()
    assert gathered.points(1.0, 20.0, users=int) == whole.points(1.0, 20.0, users=int)


def test_what_was_taken_is_gone_and_its_endpoints_stay() -> None:
    samples = Samples()
    samples.add(GET, at=0.0, milliseconds=1.0, failure="500")
    samples.take()
    assert (len(samples), samples.take()) == (0, [])
    assert of(samples, GET).requests == 0
    samples.add(GET, at=0.0, milliseconds=1.0, failure="500")
    assert of(samples, GET).reasons == {"500": 1}


def test_a_batch_whose_columns_do_not_fit_together_is_refused() -> None:
    (batch,) = one_sample().take()
    with pytest.raises(ValueError, match="different lengths"):
        Samples().add_batch(Batch(GET, batch.at, batch.milliseconds * 2))
    with pytest.raises(ValueError, match="different lengths"):
        Samples().add_batch(Batch(GET, batch.at, batch.milliseconds, {1: "500"}))


def one_sample() -> Samples:
    samples = Samples()
    samples.add(GET, at=0.0, milliseconds=1.0)
    return samples


def test_points_hold_the_rates_and_percentiles_of_their_interval_and_a_gap_shows() -> None:
    samples = Samples()
    for number in range(100):
        samples.add(GET, at=0.5, milliseconds=float(number + 1))
    samples.add(POST, at=5.0, milliseconds=7.0, failure="500")
    first, gap, last = samples.points(2.0, 6.0, users=lambda at: int(10 * at))
    assert (first.at, first.users, first.requests, first.failures) == (0.0, 0, 50.0, 0.0)
    assert (first.p50, first.p95, first.p99) == (50.0, 95.0, 99.0)
    assert (gap.at, gap.users, gap.requests, gap.p50) == (2.0, 20, 0.0, None)
    assert (last.at, last.requests, last.failures, last.p99) == (4.0, 0.5, 0.5, 7.0)


def test_the_end_of_a_run_makes_no_spike_of_its_own() -> None:
    samples = Samples()
    for tenth in range(21):
        samples.add(GET, at=tenth / 10, milliseconds=1.0)
    points = samples.points(1.0, 2.01, users=lambda _at: 1)
    assert [point.at for point in points] == [0.0, 1.0]
    assert points[-1].requests == pytest.approx(11 / 1.01)


def test_each_failure_is_known_with_its_own_times():
    samples = Samples()
    samples.add("POST", 2.5, 500.0, "503 full")
    samples.add("POST", 3.0, 1.0)
    samples.add("GET", 4.0, 1_000.0, "404")
    assert [(one.name, one.sent_at, one.at, one.reason) for one in samples.failures()] == [
        ("POST", 2.0, 2.5, "503 full"),
        ("GET", 3.0, 4.0, "404"),
    ]
