"""How much load there really was: what its users, as they came and went, stand for."""

import math
from collections.abc import Iterator

from loadtests.verdict.results import Run
from loadtests.verdict.targets import FEWEST_SAMPLES, LEAST_OF_SHARE


def expected_requests(run: Run) -> float:
    """One for each pace that each user was there, by the points of the run."""
    return sum(users * seconds for users, seconds in _stretches(run)) / run.pace


def seconds_with_all(run: Run) -> float:
    """How long all users were there, by the points of the run."""
    return sum(seconds for users, seconds in _stretches(run) if users >= run.users)


def share_sent(run: Run) -> float:
    """The requests of the run, of those expected; 0 when no user was ever seen."""
    expected = expected_requests(run)
    return run.requests / expected if expected else 0.0


def samples_needed(run: Run, share: float) -> int:
    """How many requests an endpoint must have got whose share of all is ``share``.

    It follows from the users who were there, so that a short run with few can be judged and in
    a long one with many a few stray requests do not pass for a load.
    """
    return max(FEWEST_SAMPLES, math.ceil(LEAST_OF_SHARE * share * expected_requests(run)))


def store_seconds(run: Run) -> float:
    """How long the store had work: from the first request until the queue was empty.

    Its counters may have been read long before and after. Rates over that time too would be
    lower than any that the store has seen.
    """
    if run.store is None:
        return 0.0
    emptied = run.books.seconds_to_empty if run.books else None
    return min(run.store.seconds, run.seconds + (emptied or 0.0))


def _stretches(run: Run) -> Iterator[tuple[int, float]]:
    """The users at each point, with the seconds until the next one or the end of the run."""
    ends = [*(point.at for point in run.points[1:]), run.seconds]
    for point, end in zip(run.points, ends, strict=False):
        yield point.users, max(0.0, end - point.at)
