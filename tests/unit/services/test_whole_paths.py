"""What the tests of whole paths say of a trace can fail, and is the same whoever tells of it."""

import pytest

from tests.harness.span_trees import Node, Path, Seen, drawn, of_jaeger, shared_a_batch
from tests.harness.traces import SPAN, TRACE
from tests.harness.whole_paths import DOCUMENT, POINT, RESOURCE, TASK

PATHS = [RESOURCE, TASK, DOCUMENT, POINT]


def spans_of(path: Path) -> list[Seen]:
    """A trace that is as it should be."""
    made: list[Seen] = []

    def make(node: Node, parent: str) -> None:
        service, _, name = node.title.partition(": ")
        at = len(made) + 1
        says = path.attributes if at == 1 else {}
        span = Seen(service, name, TRACE, f"{at:016x}", parent, at, frozenset(), says)
        made.append(span)
        for one in node.below:
            make(one, span.id)

    make(path.root, SPAN)
    return made


def as_jaeger(spans: list[Seen]) -> dict[str, object]:
    names = sorted({one.service for one in spans})
    told = [
        {
            "traceID": one.trace.lstrip("0"),
            "spanID": one.id.lstrip("0"),
            "operationName": one.name,
            "references": [
                {"refType": "CHILD_OF", "traceID": one.trace, "spanID": one.parent},
                *({"refType": "FOLLOWS_FROM", "traceID": "1", "spanID": of} for of in one.links),
            ],
            "startTime": one.began // 1000,
            "tags": [
                {"key": key, "type": "x", "value": True if value == "true" else int(value)}
                for key, value in one.says.items()
            ],
            "processID": f"p{names.index(one.service)}",
        }
        for one in spans
    ]
    processes = {f"p{at}": {"serviceName": name} for at, name in enumerate(names)}
    return {"data": [{"traceID": TRACE, "spans": told, "processes": processes}]}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_whole_trace_lacks_nothing(path: Path):
    assert path.lacks(spans_of(path), TRACE, SPAN) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_without_any_one_of_its_spans_it_is_not_whole(path: Path):
    whole = spans_of(path)
    for gone in whole:
        left = [one for one in whole if one is not gone]
        assert path.lacks(left, TRACE, SPAN), gone.title


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_no_span_may_hang_elsewhere_come_twice_or_be_a_strangers(path: Path):
    whole = spans_of(path)
    for at, one in enumerate(whole[1:], 1):
        elsewhere = [*whole[:at], one._replace(parent=whole[-1 if at < 3 else 0].id)]
        elsewhere += whole[at + 1 :]
        if elsewhere[at].parent != one.parent:
            assert path.lacks(elsewhere, TRACE, SPAN), one.title
        twice = [*whole, one._replace(id="f" * 16)]
        assert path.lacks(twice, TRACE, SPAN), one.title
    stranger = whole[-1]._replace(id="f" * 16, service="stranger", name="SELECT things")
    assert path.lacks([*whole, stranger], TRACE, SPAN)


def test_another_caller_or_another_answer_is_seen():
    whole = spans_of(DOCUMENT)
    assert DOCUMENT.lacks(whole, TRACE, "f" * 16)
    whole[0] = whole[0]._replace(says={**whole[0].says, "http.response.status_code": "503"})
    assert DOCUMENT.lacks(whole, TRACE, SPAN) == [
        "a document: http.response.status_code is '503', not '202'"
    ]


def test_jaeger_tells_the_same_tree():
    whole = [one._replace(began=one.began * 1000) for one in spans_of(RESOURCE)]
    whole[-1] = whole[-1]._replace(links=frozenset({"7" * 16}))
    assert of_jaeger(as_jaeger(whole)) == whole
    assert RESOURCE.lacks(of_jaeger(as_jaeger(whole)), TRACE, SPAN) == []
    assert of_jaeger({"data": None, "errors": [{"code": 404}]}) == []


def test_a_trace_whose_batch_was_anothers_is_known_by_its_link():
    whole = spans_of(DOCUMENT)
    assert not shared_a_batch(whole, TRACE)
    [process] = [one for one in whole if one.name.startswith("process ")]
    left = [one for one in whole if one.parent != process.id and one is not process]
    left.append(process._replace(links=frozenset({"7" * 16})))
    assert shared_a_batch(left, TRACE)
    assert "process data:stream (with 1 links)" in drawn(left, TRACE)
