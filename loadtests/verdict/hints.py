"""Where to look first when a target is missed: the tail of a sentence, or nothing."""

from loadtests.verdict.results import Books, Cache, Endpoint, Run

_FULL = 0.8
"""Of all cores: above, requests wait for a processor and not for each other."""
_FEW = 3


def busiest(run: Run) -> str:
    """Which processes had the processor, if it was the machine that was full."""
    if sum(run.cpu.values()) < _FULL * run.machine.cores:
        return ""
    first = sorted(run.cpu.items(), key=lambda group: -group[1])[:_FEW]
    used = ", ".join(f"{name} {cores:.2f}" for name, cores in first)
    total = sum(run.cpu.values())
    return f"; the machine was full ({total:.2f} of {run.machine.cores} cores: {used})"


def slow(run: Run, found: Endpoint) -> str:
    """Whether one endpoint is slow or all are, and whether the machine was full."""
    if full := busiest(run):
        return full
    others = [
        one.latencies.p50 for one in run.endpoints if one.latencies and one.name != found.name
    ]
    if found.latencies and others and found.latencies.p50 > 5 * max(others):
        return "; the others are much faster, so look at its handler and what it waits for"
    return "; the machine was not full, so look at what requests wait for" if run.cpu else ""


def reasons(found: Endpoint) -> str:
    """The most frequent reasons of failures."""
    ranked = sorted(found.reasons.items(), key=lambda reason: -reason[1])
    named = [f"{times(count)} {text}" for text, count in ranked[:_FEW]]
    if len(ranked) > _FEW:
        named.append(f"{len(ranked) - _FEW} reasons more")
    why = f": {', '.join(named)}" if named else ""
    return f" ({found.failures:,} of {found.requests:,} requests{why})"


def times(count: int) -> str:
    """Like ``once`` or ``1,200 times``."""
    return "once" if count == 1 else f"{count:,} times"


def answered_by(cache: Cache) -> str:
    """Where reads were answered from."""
    sources = ", ".join(f"{source} {count:,}" for source, count in cache.by_source.items())
    return f"; of {cache.reads:,} reads: {sources}" if sources else ""


def examples(books: Books) -> str:
    """A few of what is wrong."""
    return f", such as {'; '.join(books.examples[:_FEW])}" if books.examples else ""
