"""The gate: a run held to its targets, one check for each, and a sentence for each that is missed.

What was not measured has not been reached: an observer that failed, an endpoint that nobody called
and a ledger without a write are breaches like a latency above its limit.
"""

from collections.abc import Iterable, Iterator

from loadtests.target import THINGS
from loadtests.verdict import crowd, hints
from loadtests.verdict.checks import COMPLAINT, Check, Judgement, held, missed, with_aim
from loadtests.verdict.limits import Limit, number
from loadtests.verdict.results import Books, Cache, Endpoint, Run
from loadtests.verdict.targets import Column, EndpointTarget, Targets

WRONG_ANSWERS = (
    *("stale read", "acknowledged under other ids", "another document"),
    *("acknowledged another number", "another device", "points out of order"),
    "a point that was never sent",
)
"""How the client's words for an answer begin that says what is not so."""


def judge(run: Run, targets: Targets, complaints: Iterable[str] = ()) -> Judgement:
    """Hold a run to its targets.

    ``complaints`` are the load generator's own: what makes its numbers not to be trusted.

    Raises:
        ValueError: they are the targets of another stack or way to the store.
    """
    if (run.stack, run.target) != (targets.stack, targets.target):
        raise ValueError(
            f"a run against {run.stack}, {run.target}, cannot be held to the targets of "
            f"{targets.stack}, {targets.target}"
        )
    return Judgement(
        (
            *(
                missed("load", f"{COMPLAINT} {place}", "none", complaint, "one")
                for place, complaint in enumerate(complaints, start=1)
            ),
            *_load(run, targets),
            *(check for target in targets.endpoints for check in _endpoint(run, target)),
            *_strangers(run, targets),
            *_store(run, targets),
            *_cache(run.cache, targets),
            *_ledger(run.books, run),
        )
    )


def _load(run: Run, targets: Targets) -> Iterator[Check]:
    most = max((point.users for point in run.points), default=0)
    target = number(run.users)
    if most < run.users:
        yield missed(
            "load",
            "users",
            target,
            f"{most:,} of {run.users:,} users arrived, so this was not the load it says; "
            "look at the load generator's log, and its limit of open files",
            f"{most:,}",
        )
        return
    yield Check("load", "users", f"{most:,}", target)
    yield held(
        "load",
        "time with all users",
        crowd.seconds_with_all(run),
        Limit("≥", run.pace, "s"),
        "; only then has each made a request while all were there: let the run last longer",
    )
    yield held(
        "load",
        "share of the expected requests",
        crowd.share_sent(run),
        targets.requests,
        f"; users waited longer than their pace of {number(run.pace, 's')} for answers"
        f"{hints.busiest(run)}",
    )


def _endpoint(run: Run, target: EndpointTarget) -> Iterator[Check]:
    needed = crowd.samples_needed(run, target.share)
    found = next((one for one in run.endpoints if one.name == target.name), None)
    requests = 0 if found is None else found.requests
    at_least = f"≥ {needed:,}"
    if found is None or requests == 0:
        why = "nobody called it, and what idles reaches any latency; look at what the users do"
        yield missed(target.name, "requests", at_least, why, "0")
        return
    if requests < needed:
        why = (
            f"{requests:,} requests are too few to judge, {needed:,} are needed in this run; "
            "look at what the users do, or let the run last longer"
        )
        yield missed(target.name, "requests", at_least, why, f"{requests:,}")
    else:
        yield Check(target.name, "requests", f"{requests:,}", at_least)
    rate = found.failures / requests
    yield with_aim(
        held(target.name, "failure rate", rate, target.must.failures, hints.reasons(found)),
        rate,
        target.aim.failures,
    )
    yield _wrong_answers(found)
    yield from _latencies(run, found, target.must, target.aim)


def _wrong_answers(found: Endpoint) -> Check:
    """A late answer, or none, may be rare. One that is not true may not be at all."""
    wrong = {why: n for why, n in found.reasons.items() if why.startswith(WRONG_ANSWERS)}
    count = sum(wrong.values())
    told = ", ".join(f"{n:,} times {why}" for why, n in wrong.items())
    sentence = f"{found.name}: {count:,} wrong answers of {found.requests:,}: {told}"
    return Check(found.name, "wrong answers", f"{count:,}", "0", sentence if count else "")


def _latencies(run: Run, found: Endpoint, must: Column, aim: Column) -> Iterator[Check]:
    for what in ("p50", "p95", "p99"):
        limit: Limit = getattr(must.latency, what)
        if found.latencies is None:
            why = f"its {what} was not measured, though it was called {found.requests:,} times"
            yield missed(found.name, what, limit.text, why)
            continue
        measured: float = getattr(found.latencies, what)
        check = held(found.name, what, measured, limit, hints.slow(run, found))
        yield with_aim(check, measured, getattr(aim.latency, what))


def _strangers(run: Run, targets: Targets) -> Iterator[Check]:
    known = {target.name for target in targets.endpoints}
    for endpoint in run.endpoints:
        if endpoint.name not in known:
            why = "it has no targets, so nothing holds it; give it a row in targets.py"
            yield missed(endpoint.name, "requests", "a row", why, f"{endpoint.requests:,}")


def _store(run: Run, targets: Targets) -> Iterator[Check]:
    store, books, seconds = run.store, run.books, crowd.store_seconds(run)
    for what, limit in (("commits", targets.commits), ("flushes", targets.flushes)):
        if limit is None:
            continue
        if store is None or seconds <= 0:
            why = f"its {what} were not measured; look at why its counters could not be read"
            yield missed("store", what, limit.text, why)
        elif store.commits <= 0 and books is not None and books.acknowledged:
            why = (
                f"it committed nothing while {books.acknowledged:,} writes were acknowledged, so "
                "its counters are another database's"
            )
            yield missed("store", what, limit.text, why, "0/s")
        else:
            count = store.commits if what == "commits" else store.flushes
            hint = "; look at how many documents share one (the writers' batch and budget)"
            yield held("store", f"{what} a second", count / seconds, limit, hint)


def _cache(cache: Cache | None, targets: Targets) -> Iterator[Check]:
    limit, aim = targets.cache_hits, targets.cache_hits_aim
    if limit is None or aim is None:
        return
    rate = None if cache is None else cache.hit_rate
    if cache is None or rate is None:
        why = "its hits were not measured" if cache is None else "nothing was read by id"
        yield missed("cache", "hit rate", limit.text, f"{why}, so its hit rate is unknown")
        return
    yield with_aim(held("cache", "hit rate", rate, limit, hints.answered_by(cache)), rate, aim)


def _ledger(books: Books | None, run: Run) -> Iterator[Check]:
    if books is None:
        why = "there is none, so nobody knows whether a write was lost"
        yield missed("ledger", THINGS[run.target], "closed", why)
        return
    yield _covered(books, run)
    emptied = books.seconds_to_empty
    if emptied is None:
        writer = "async-writer" if run.target == "telemetry" else "stream-writer"
        why = f"the queue did not get empty in time; look at {writer}'s log and its lag"
        yield missed("ledger", "queue", "gets empty", why, "not empty")
    else:
        yield Check("ledger", "queue", f"empty after {number(emptied, 's', 1)}", "gets empty")
    for what, count, meaning in (
        ("lost", books.missing, "acknowledged and not stored"),
        ("stale", books.stale, "stored with an older value than the last acknowledged one"),
        ("never written", books.never_written, "stored though no write explains them"),
    ):
        few = hints.examples(books)
        why = f"{count:,} {what}: {meaning}, of {books.documents:,} {THINGS[run.target]}{few}"
        yield Check("ledger", what, f"{count:,}", "0", f"ledger: {why}" if count else "")


def _covered(books: Books, run: Run) -> Check:
    """The ledger's writes are those that were answered, a batch counting for one or for many."""
    posts = [one for one in run.endpoints if one.name.startswith("POST ")]
    answered = sum(one.requests - one.failures for one in posts)
    if books.acknowledged > 0 and books.acknowledged >= answered:
        return Check("ledger", "writes", f"{books.acknowledged:,}", f"≥ {answered:,}")
    why = f"it knows {books.acknowledged:,} acknowledged writes, {answered:,} were answered so"
    if not answered:
        why = "no write was acknowledged, and an empty ledger proves nothing"
    return missed("ledger", "writes", f"≥ {max(1, answered):,}", why, f"{books.acknowledged:,}")
