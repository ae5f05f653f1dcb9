"""Lines that nodes wrote come to Loki once, whatever happens meanwhile, and are found there."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial

import pytest

from operations.logs import store
from operations.logs.found import Line, Source
from operations.logs.sought import Sought
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Containers
from tests.integration.logs_platform import Node, Store, are_kept, start_loki, start_reader

HOST = "loki"
OF = Source("apps", "rest-1", "main")


@pytest.fixture(scope="module")
async def loki(containers: Containers, authority: Authority) -> AsyncIterator[Store]:
    if not are_kept(containers):
        pytest.skip("no image of Loki: the stack that is up keeps no logs (millrace:logs)")
    made = start_loki(containers, authority, HOST)
    await eventually(made.ready)
    yield made
    made.container.remove()


@pytest.fixture
def node(containers: Containers, authority: Authority, loki: Store) -> Iterator[Node]:
    made = start_reader(containers, authority, "log-reader", HOST)
    yield made
    made.reader.remove()


@pytest.fixture
def marker() -> str:
    return secrets.token_hex(16)


def kept(loki: Store, marker: str) -> Sequence[Line]:
    with loki.api() as api:
        said = store.find(api, 3600, Sought.parse(marker), lambda _: True)
    assert not said.notes
    return sorted(said.lines, key=lambda line: line.nanoseconds)


def has(loki: Store, marker: str, texts: Sequence[str]) -> Callable[[], Awaitable[bool]]:
    async def all_of_them() -> bool:
        return {line.text for line in kept(loki, marker)} >= set(texts)

    return all_of_them


async def are(loki: Store, marker: str, number: int) -> bool:
    query = f'sum(count_over_time({{k8s_namespace_name=~".+"}} |= "{marker}" [1h]))'
    with loki.api() as api:
        answer = api.get("/loki/api/v1/query", params={"query": query})
    told = answer.raise_for_status().json()["data"]["result"]
    return [value for _, value in (one["value"] for one in told)] == [str(number)]


async def test_a_line_has_its_pod_and_the_time_at_which_the_node_wrote_it(
    loki: Store, node: Node, marker: str
) -> None:
    texts = [f'{{"event": "request", "trace_id": "{marker}"}}', f"LOG:  \\ {marker}\t\x1b[2J é"]
    stamps = node.write(*texts)
    await eventually(has(loki, marker, texts))
    assert kept(loki, marker) == [
        Line(OF, at, text) for at, text in zip(stamps, texts, strict=True)
    ]


async def test_a_line_in_parts_is_one_and_a_huge_one_is_cut(
    loki: Store, node: Node, marker: str
) -> None:
    node.write(f"{marker} one ", "line", parts=True)
    node.write(f"{marker} {'x' * 300_000}")
    node.write(f"{marker} after")
    await eventually(has(loki, marker, [f"{marker} one line", f"{marker} after"]))
    [cut] = (len(line.text) for line in kept(loki, marker) if "xxx" in line.text)
    assert 100_000 < cut <= 256 * 1024


async def test_only_namespaces_that_are_read_are_read(loki: Store, node: Node, marker: str) -> None:
    node.write(f"{marker} of others", namespace="kube-system")
    node.write(f"{marker} ours", namespace="data")
    await eventually(has(loki, marker, [f"{marker} ours"]))
    assert {line.source.namespace for line in kept(loki, marker)} == {"data"}


async def test_what_is_written_while_the_store_is_away_waits_and_comes(
    loki: Store, node: Node, marker: str
) -> None:
    before = [f"{marker} before {number}" for number in range(20)]
    node.write(*before)
    await eventually(has(loki, marker, before))
    loki.container.kill()
    during = [f"{marker} during {number}" for number in range(500)]
    for at in range(0, len(during), 50):
        node.write(*during[at : at + 50])
    node.rotate()
    node.write(f"{marker} last")
    loki.container.start()
    await eventually(loki.ready)
    await eventually(has(loki, marker, [*before, *during, f"{marker} last"]))
    assert len(kept(loki, marker)) == len(before) + len(during) + 1


async def test_more_than_a_request_holds_waits_too(loki: Store, node: Node, marker: str) -> None:
    loki.container.kill()
    # More than the queue holds as well: what does not fit waits in the file.
    long = [f"{marker} {number} {'x' * 300_000}" for number in range(150)]
    node.write(*long)
    node.write(f"{marker} after")
    loki.container.start()
    await eventually(loki.ready)
    # Counted there: to have them sent is more than one answer holds.
    await eventually(partial(are, loki, marker, len(long) + 1))


async def test_a_reader_that_dies_or_is_new_brings_no_line_twice_and_misses_none(
    containers: Containers, authority: Authority, loki: Store, node: Node, marker: str
) -> None:
    texts = [f"{marker} {number}" for number in range(300)]
    node.write(*texts[:100])
    await eventually(has(loki, marker, texts[:100]))
    node.reader.kill()
    node.reader.start()
    node.write(*texts[100:200])
    await eventually(has(loki, marker, texts[:200]))
    node.reader.kill()
    other = start_reader(containers, authority, "log-reader-after", HOST, node.files)
    other.write(*texts[200:])
    await eventually(has(loki, marker, texts))
    other.reader.remove()
    assert [line.text for line in kept(loki, marker)] == texts
