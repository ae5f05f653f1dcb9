"""The gate, held to runs in which one thing is wrong."""

from pathlib import Path

import pytest

from loadtests.documents import client
from loadtests.verdict.checks import Judgement
from loadtests.verdict.gate import judge
from loadtests.verdict.results import Cache, Run, Store
from loadtests.verdict.samples import Samples
from loadtests.verdict.targets import targets_for
from tests.harness import load_runs
from tests.harness.load_runs import GET, LIST, POST, books, run_of


def judged(run: Run) -> Judgement:
    return judge(run, targets_for("airgap", "async"))


def only_sentence(run: Run) -> str:
    judgement = judged(run)
    assert not judgement.passed
    (sentence,) = judgement.sentences
    return sentence


def test_a_healthy_run_reaches_every_target_and_aim() -> None:
    judgement = judged(run_of())
    assert judgement.sentences == ()
    assert judgement.passed
    assert all(check.aim_reached for check in judgement.checks if check.aim)


def test_a_judgement_without_a_check_is_no_pass() -> None:
    assert not Judgement(()).passed


def with_latency(name: str, milliseconds: float, every: int) -> Samples:
    """A healthy run whose every so-manieth request of one endpoint takes longer."""
    samples, count = Samples(), 0
    for batch in load_runs.healthy_samples().take():
        for position, at in enumerate(batch.at):
            slow = batch.name == name and count % every == 0
            count += batch.name == name
            samples.add(batch.name, at, milliseconds if slow else batch.milliseconds[position])
    return samples


def test_a_slow_endpoint_is_named_with_what_was_measured_and_where_to_look() -> None:
    judgement = judged(run_of(with_latency(GET, 2500.0, every=1)))
    assert judgement.sentences == (
        "GET /api/data/{id}: p50 is 2,500 ms, the target is ≤ 1,000 ms; the others are much "
        "faster, so look at its handler and what it waits for",
        "GET /api/data/{id}: p95 is 2,500 ms, the target is ≤ 2,000 ms; the others are much "
        "faster, so look at its handler and what it waits for",
    )


def test_the_slow_tail_of_one_endpoint_does_not_hide_behind_the_fast_many() -> None:
    sentence = only_sentence(run_of(with_latency(LIST, 5000.1, every=50)))
    assert sentence.startswith("GET /api/data: p99 is 5,000.1 ms, the target is ≤ 5,000 ms")


def test_a_latency_on_its_limit_passes() -> None:
    judgement = judged(run_of(with_latency(LIST, 5000.0, every=50)))
    assert judgement.passed
    (check,) = (one for one in judgement.checks if (one.subject, one.what) == (LIST, "p99"))
    assert not check.aim_reached


def test_a_full_machine_is_named_with_who_had_it() -> None:
    run = run_of(
        with_latency(GET, 3000.0, every=10), cpu={"load generator": 1.2, "redis": 0.1, "api": 0.6}
    )
    assert "the machine was full (1.90 of 2 cores: load generator 1.20, api 0.60" in only_sentence(
        run
    )


@pytest.mark.parametrize("name", [POST, GET, LIST])
def test_an_endpoint_that_nobody_called_fails(name: str) -> None:
    calls = load_runs.healthy_samples()
    samples = Samples(names=(name,))
    for batch in calls.take():
        if batch.name != name:
            samples.add_batch(batch)
    sentences = judged(run_of(samples)).sentences
    assert any(s.startswith(f"{name}: nobody called it") for s in sentences)


@pytest.mark.parametrize("name", [POST, GET, LIST])
def test_an_endpoint_that_is_not_in_the_run_at_all_fails(name: str) -> None:
    sentences = judged(load_runs.without_endpoint(run_of(), name)).sentences
    assert any(s.startswith(f"{name}: nobody called it") for s in sentences)


def test_an_endpoint_called_too_rarely_fails_and_with_just_enough_passes() -> None:
    expected = sum(load_runs.users_at(second) for second in range(load_runs.SECONDS))
    needed = -(-expected * 25 // 1000)  # half of a twentieth, rounded up
    enough = load_runs.with_endpoint(run_of(), LIST, requests=needed)
    assert judged(enough).passed
    sentence = only_sentence(load_runs.with_endpoint(run_of(), LIST, requests=needed - 1))
    assert sentence.startswith(f"{LIST}: {needed - 1} requests are too few to judge, {needed} are")


def test_an_endpoint_without_targets_is_not_let_through() -> None:
    samples = load_runs.healthy_samples()
    samples.add("DELETE /api/data", 1.0, 5.0)
    assert only_sentence(run_of(samples)).startswith("DELETE /api/data: it has no targets")


def test_an_endpoint_whose_latencies_are_missing_fails() -> None:
    sentences = judged(load_runs.with_endpoint(run_of(), GET, latencies=None)).sentences
    assert [s.split(",")[0] for s in sentences] == [
        f"{GET}: its {what} was not measured" for what in ("p50", "p95", "p99")
    ]


def test_failures_are_below_their_limit_and_not_on_it() -> None:
    run = load_runs.with_endpoint(run_of(), GET, requests=3000, failures=29)
    assert judged(run).passed
    failed = load_runs.with_endpoint(
        run_of(), GET, requests=3000, failures=30, reasons={"503 store away": 28, "timeout": 2}
    )
    assert only_sentence(failed) == (
        "GET /api/data/{id}: failure rate is 1.00 %, the target is < 1 % (30 of 3,000 requests: "
        "28 times 503 store away, 2 times timeout)"
    )


def test_one_failure_misses_the_aim_and_nothing_else() -> None:
    judgement = judged(load_runs.with_endpoint(run_of(), GET, failures=1))
    assert judgement.passed
    missed = [one for one in judgement.checks if one.aim and not one.aim_reached]
    assert [(one.subject, one.what) for one in missed] == [(GET, "failure rate")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"missing": 1}, "ledger: 1 lost: acknowledged and not stored, of 1,000 documents"),
        ({"stale": 2}, "ledger: 2 stale: stored with an older value"),
        ({"never_written": 3}, "ledger: 3 never written: stored though no write explains"),
        ({"seconds_to_empty": None}, "ledger: the queue did not get empty in time"),
        (
            {"acknowledged": 1061},
            "ledger: it knows 1,061 acknowledged writes, 1,062 were answered so",
        ),
    ],
)
def test_a_ledger_that_does_not_balance_fails(changes: dict[str, object], said: str) -> None:
    assert said in only_sentence(run_of(books=books(**changes)))


def test_the_sentence_on_lost_writes_shows_a_few() -> None:
    lost = books(missing=9, examples=("a is not stored", "b is", "c is", "d is"))
    assert only_sentence(run_of(books=lost)).endswith("such as a is not stored; b is; c is")


def test_a_run_without_a_ledger_fails() -> None:
    assert only_sentence(run_of(books=None)).startswith("ledger: there is none")


def test_a_ledger_without_a_write_proves_nothing() -> None:
    refused = load_runs.with_endpoint(run_of(), POST, requests=1000, failures=1000)
    run = refused.model_copy(update={"books": books(acknowledged=0, documents=0)})
    assert any("an empty ledger proves nothing" in s for s in judged(run).sentences)


def test_a_cache_that_never_hits_fails_and_says_who_answered() -> None:
    cache = Cache(by_source={"local": 0, "database": 2000}, hits=0, reads=2000)
    assert only_sentence(run_of(cache=cache)) == (
        "cache: hit rate is 0.00 %, the target is > 95 %; of 2,000 reads: local 0, database 2,000"
    )


def test_a_hit_rate_on_its_limit_is_not_above_it() -> None:
    on = Cache(by_source={}, hits=1900, reads=2000)
    assert only_sentence(run_of(cache=on)).startswith("cache: hit rate is 95.00 %")
    assert judged(run_of(cache=on.model_copy(update={"hits": 1901}))).passed


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        (None, "cache: its hits were not measured"),
        (Cache(by_source={}, hits=0, reads=0), "cache: nothing was read by id"),
    ],
)
def test_a_cache_that_nobody_measured_fails(cache: Cache | None, said: str) -> None:
    assert only_sentence(run_of(cache=cache)).startswith(said)


def test_time_without_work_makes_no_rate_of_the_store_lower() -> None:
    """40 s of load, 0.4 s until the queue was empty, and a minute of nothing."""
    busy = Store(seconds=100.0, commits=4100, flushes=40, rows=1000)
    sentence = only_sentence(run_of(store=busy))
    assert sentence.startswith("store: commits a second is 101.5/s, the target is ≤ 100/s")


def test_one_failure_is_told_as_one() -> None:
    failed = load_runs.with_endpoint(run_of(), LIST, failures=40, reasons={"a": 39, "b": 1})
    assert "39 times a, once b)" in only_sentence(failed)


def test_commits_and_flushes_may_reach_their_limit_and_not_pass_it() -> None:
    on = Store(seconds=40.0, commits=4000, flushes=4000, rows=700)
    assert judged(run_of(store=on)).passed
    for what in ("commits", "flushes"):
        sentence = only_sentence(run_of(store=on.model_copy(update={what: 4001})))
        assert sentence.startswith(f"store: {what} a second is 100.03/s, the target is ≤ 100/s")


@pytest.mark.parametrize("store", [None, Store(seconds=0.0, commits=5, flushes=5, rows=5)])
def test_a_store_whose_counters_could_not_be_read_fails(store: Store | None) -> None:
    sentences = judged(run_of(store=store)).sentences
    assert [s.split(";")[0] for s in sentences] == [
        "store: its commits were not measured",
        "store: its flushes were not measured",
    ]


def test_counters_that_stood_still_are_another_databases() -> None:
    still = Store(seconds=40.0, commits=0, flushes=0, rows=0)
    assert "its counters are another database's" in judged(run_of(store=still)).sentences[0]


def test_users_who_never_all_arrived_fail_the_run() -> None:
    sentence = only_sentence(run_of(users=load_runs.USERS + 1))
    assert sentence.startswith("load: 100 of 101 users arrived")


def test_a_run_without_points_shows_no_user() -> None:
    assert any(
        s.startswith("load: 0 of 100 users arrived") for s in judged(run_of(points=())).sentences
    )


def test_all_users_have_to_be_there_for_a_whole_pace() -> None:
    points = run_of().points
    shorter = [
        p if p.at == 20 else p.model_copy(update={"users": min(p.users, 99)}) for p in points
    ]
    assert judged(run_of(points=tuple(shorter))).passed
    glimpse = run_of(points=tuple(shorter), pace=1.01)
    (sentence,) = (s for s in judged(glimpse).sentences if "time with all users" in s)
    assert sentence.startswith("load: time with all users is 1.0 s, the target is ≥ 1.01 s")


def test_users_who_wait_longer_than_their_pace_are_not_the_load_that_was_promised() -> None:
    sentence = only_sentence(run_of(pace=0.6))
    assert sentence.startswith(
        "load: share of the expected requests is 60.00 %, the target is ≥ 90 %"
    )


def test_what_the_generator_complains_of_fails_the_run_with_its_words() -> None:
    complaints = ["a worker was lost", "7 samples came twice"]
    judgement = judge(run_of(), targets_for("airgap", "async"), complaints)
    assert judgement.sentences == tuple(f"load: {complaint}" for complaint in complaints)
    assert not judgement.passed


def test_a_run_is_not_held_to_the_targets_of_another_environment() -> None:
    with pytest.raises(ValueError, match="cannot be held to the targets of prod, async"):
        judge(run_of(), targets_for("prod", "async"))


@pytest.mark.parametrize(
    "reason",
    [
        "stale read: an older value than the one just acknowledged",
        "acknowledged under other ids than given",
        "another document than the one written",
    ],
)
def test_a_single_answer_that_is_not_true_fails_however_rare_it_is(reason: str) -> None:
    run = load_runs.with_endpoint(run_of(), GET, failures=1, reasons={reason: 1})
    assert (
        only_sentence(run) == f"{GET}: 1 wrong answers of {run_requests(run):,}: 1 times {reason}"
    )
    told = (Path(client.__file__)).read_text()
    assert f'"{reason}"' in told, "the client says it in other words"


def run_requests(run: Run) -> int:
    return next(one.requests for one in run.endpoints if one.name == GET)
