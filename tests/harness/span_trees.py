"""The tree that a trace is, whoever tells of it, and what it has to be to be whole.

What a test says a trace is does not depend on where its spans were seen: a receiver of ours, of a
trace store's query API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Seen(NamedTuple):
    """A span: who made it, its ids (hex), when it began (ns), and what it says."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    """Empty: none."""
    began: int
    links: frozenset[str]
    says: Mapping[str, str]

    @property
    def title(self) -> str:
        return f"{self.service}: {self.name}"


class Branch(NamedTuple):
    """A span, and those below it in the order in which they began."""

    span: Seen
    below: tuple[Branch, ...]

    def walk(self) -> Iterator[Branch]:
        yield self
        for one in self.below:
            yield from one.walk()


def branches(spans: Iterable[Seen], trace: str) -> list[Branch]:
    """Those of a trace whose parents are not among them, with all that is below."""
    found = {one.id: one for one in spans if one.trace == trace}  # may be told twice
    ordered = sorted(found.values(), key=lambda one: one.began)

    def branch(span: Seen) -> Branch:
        return Branch(span, tuple(branch(one) for one in ordered if one.parent == span.id))

    return [branch(one) for one in ordered if one.parent not in found]


def of_jaeger(answer: Mapping[str, Any]) -> list[Seen]:
    """The spans in what `/api/traces/ID` of Jaeger's query API says; none of one it lacks."""
    return [_of_jaeger(trace["processes"], span)
            for trace in answer.get("data") or () for span in trace["spans"]]  # fmt: skip


def _of_jaeger(processes: Mapping[str, Any], span: Mapping[str, Any]) -> Seen:
    references: Sequence[Mapping[str, str]] = span.get("references") or ()
    parents = [one["spanID"] for one in references if one["refType"] == "CHILD_OF"]
    return Seen(
        service=processes[span["processID"]]["serviceName"],
        name=span["operationName"],
        trace=span["traceID"].zfill(32),
        id=span["spanID"].zfill(16),
        parent=parents[0].zfill(16) if parents else "",
        began=span["startTime"] * 1000,
        links=frozenset(o["spanID"].zfill(16) for o in references if o["refType"] != "CHILD_OF"),
        says={tag["key"]: said(tag["value"]) for tag in span.get("tags") or ()},
    )


def said(value: object) -> str:
    """An attribute's value, as all write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Node:
    """A span that has to be there once, and what has to be below it, whatever the order."""

    title: str
    below: tuple[Node, ...] = ()
    first: str = ""
    last: str = ""
    """Titles of those below that have to begin before, or after, all others."""
    more: bool = False
    """Whether the same service may do other things of its own below it."""

    def lacks(self, found: Branch) -> Iterator[str]:
        """What is wrong with one that has this title: a sentence each."""
        titles = [one.span.title for one in found.below]
        for node in self.below:
            same = [one for one in found.below if one.span.title == node.title]
            if len(same) != 1:
                yield f"{self.title!r} has {len(same)} times {node.title!r} below it, not once"
            for one in same:
                yield from node.lacks(one)
        service = self.title.partition(": ")[0]
        expected = {node.title for node in self.below}
        for one in found.below:
            if one.span.title not in expected:
                own = self.more and one.span.service == service
                if not own or one.below:
                    yield f"{self.title!r} has {one.span.title!r} below it, which nobody expects"
        if self.first and titles[:1] != [self.first]:
            yield f"{self.title!r} does not begin with {self.first!r}: {titles}"
        if self.last and titles[-1:] != [self.last]:
            yield f"{self.title!r} does not end with {self.last!r}: {titles}"

    def services(self) -> Iterator[str]:
        yield self.title.partition(": ")[0]
        for node in self.below:
            yield from node.services()


@dataclass(frozen=True)
class Path:
    """A way through the platform, as the one trace that it has to be."""

    name: str
    root: Node
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the first span."""

    @property
    def services(self) -> list[str]:
        return list(dict.fromkeys(self.root.services()))

    def lacks(self, spans: Iterable[Seen], trace: str, caller: str) -> list[str]:
        """Why this is not the whole tree of `trace`, which the span `caller` called for; nothing:
        it is."""
        found = branches(spans, trace)
        if len(found) != 1:
            roots = [one.span.title for one in found]
            return [f"{self.name}: a tree has one root, this has {len(found)}: {roots}"]
        [tree] = found
        if tree.span.title != self.root.title:
            return [f"{self.name}: the root is {tree.span.title!r}, not {self.root.title!r}"]
        wrong = list(self.root.lacks(tree))
        if tree.span.parent != caller:
            wrong.append(f"its caller is {tree.span.parent!r}, not {caller!r}")
        wrong += [
            f"{key} is {tree.span.says.get(key)!r}, not {value!r}"
            for key, value in self.attributes.items()
            if tree.span.says.get(key) != value
        ]
        return [f"{self.name}: {one}" for one in wrong]


def shared_a_batch(spans: Iterable[Seen], trace: str) -> bool:
    """Whether something was done for this trace below another's span: what is done once for many
    is below the first of them, to which the others have a link."""
    return any(
        branch.span.links and not branch.below and branch.span.name.startswith("process ")
        for root in branches(spans, trace)
        for branch in root.walk()
    )


def drawn(spans: Iterable[Seen], trace: str) -> str:
    """For people: a line each, those below further in."""

    def rows(branch: Branch, depth: int) -> Iterator[str]:
        links = f" (with {len(branch.span.links)} links)" if branch.span.links else ""
        yield f"{'  ' * depth}{branch.span.title}{links}"
        for one in branch.below:
            yield from rows(one, depth + 1)

    found = branches(spans, trace)
    return "\n".join(row for root in found for row in rows(root, 0)) or "(no span)"
