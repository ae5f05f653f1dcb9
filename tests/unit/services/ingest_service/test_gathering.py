"""How requests share calls, with a call that the test lets end when it likes."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from services.ingest_service.gathering import Gatherer
from services.ingest_service.metrics import IngestMetrics
from services.shared.stream.accept import Accepted, StreamFullError, StreamUnavailableError


class Server:
    """Takes calls and answers when told; an entry is the document's id with a mark."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self._answers: list[asyncio.Future[None]] = []

    async def call(self, documents: Sequence[Accepted]) -> list[str]:
        self.calls.append([given.id for given in documents])
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        await answer
        return [f"entry of {given.id}" for given in documents]

    def answer(self, number: int, error: Exception | None = None) -> None:
        if error is None:
            self._answers[number].set_result(None)
        else:
            self._answers[number].set_exception(error)


LANES = 2


def gatherer(server: Server, *, patience: float = 60, **limits: int) -> Gatherer:
    metrics = IngestMetrics(CollectorRegistry())
    return Gatherer(server.call, metrics, lanes=LANES, patience=patience, **limits)


def some(*ids: str, size: int = 2) -> list[Accepted]:
    return [Accepted(id, b"x" * size) for id in ids]


def start(it: Gatherer, *ids: str, size: int = 2) -> asyncio.Future[list[str]]:
    return it.accept(some(*ids, size=size))


async def both_out(it: Gatherer) -> list[asyncio.Future[list[str]]]:
    """One request on each lane: a, and b."""
    started: list[asyncio.Future[list[str]]] = []
    for name in ("a", "b"):
        started.append(start(it, name))
        await settled()
    return started


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_while_the_lanes_are_out_shares_the_next_call() -> None:
    server = Server()
    it = gatherer(server)
    first = await both_out(it)
    assert server.calls == [["a"], ["b"]]
    later = [start(it, "c"), start(it, "d", "e"), start(it, "f")]
    await settled()
    assert len(server.calls) == LANES
    server.answer(0)
    await settled()
    assert server.calls[2] == ["c", "d", "e", "f"]
    server.answer(1)
    server.answer(2)
    assert await asyncio.gather(*first) == [["entry of a"], ["entry of b"]]
    assert await asyncio.gather(*later) == [
        ["entry of c"], ["entry of d", "entry of e"], ["entry of f"],
    ]  # fmt: skip
    again = start(it, "g")
    await settled()
    assert server.calls[3] == ["g"]
    server.answer(3)
    assert await again == ["entry of g"]


@pytest.mark.parametrize("limits", [{"most_documents": 3}, {"most_bytes": 6}])
async def test_a_call_carries_no_more_than_its_limits_and_parts_no_request(
    limits: dict[str, int],
) -> None:
    server = Server()
    it = gatherer(server, **limits)
    await both_out(it)
    tasks = [start(it, "c"), start(it, "d", "e"), start(it, "f", "g"), start(it, *"hijk")]
    await settled()
    for number in (0, 1, 2, 3, 4):
        server.answer(number)
        await settled()
    assert server.calls[2:] == [["c", "d", "e"], ["f", "g"], ["h", "i", "j", "k"]]
    assert len([entry for entries in await asyncio.gather(*tasks) for entry in entries]) == 9


async def test_a_failure_is_that_of_its_own_requests_alone() -> None:
    server = Server()
    it = gatherer(server)
    failing, fine = await both_out(it)
    waiting = [start(it, "c"), start(it, "d")]
    server.answer(0, StreamUnavailableError("gone", uncertain=True))
    await settled()
    with pytest.raises(StreamUnavailableError, match="gone"):
        await failing
    server.answer(2, StreamFullError("full"))
    server.answer(1)
    assert await fine == ["entry of b"]
    for task in waiting:
        with pytest.raises(StreamFullError):
            await task


async def test_a_mistake_of_ours_leaves_nobody_waiting_and_the_next_is_served() -> None:
    server = Server()
    it = gatherer(server)
    failing = start(it, "a")
    await settled()
    server.answer(0, KeyError("a mistake"))
    with pytest.raises(StreamUnavailableError, match="a mistake"):
        await failing
    after = start(it, "b")
    await settled()
    server.answer(1)
    assert await after == ["entry of b"]


async def test_who_is_cancelled_before_the_call_is_not_sent_and_disturbs_nobody() -> None:
    server = Server()
    it = gatherer(server)
    sent = await both_out(it)
    leaving, staying = start(it, "c"), start(it, "d")
    await settled()
    leaving.cancel()
    sent[0].cancel()
    await settled()
    server.answer(0)
    server.answer(1)
    await settled()
    assert server.calls[2:] == [["d"]]
    server.answer(2)
    assert await staying == ["entry of d"]
    assert await sent[1] == ["entry of b"]


async def test_only_who_was_sent_is_uncertain_when_patience_is_over() -> None:
    server = Server()
    it = gatherer(server, patience=0.05)
    tasks = [*await both_out(it), start(it, "c")]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    uncertain = [e.uncertain for e in found if isinstance(e, StreamUnavailableError)]
    assert uncertain == [True, True, False]
    server.answer(0)
    server.answer(1)
    await it.close()
    assert server.calls == [["a"], ["b"]]


async def test_requests_that_come_at_once_share_a_call_from_the_start() -> None:
    server = Server()
    it = gatherer(server)
    tasks = [start(it, name) for name in ("a", "b", "c")]
    await settled()
    assert server.calls == [["a", "b", "c"]]
    server.answer(0)
    await asyncio.gather(*tasks)
