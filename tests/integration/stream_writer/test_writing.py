"""Documents come into the database once, whoever writes them and in whatever order."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from services.shared.stream import names
from services.shared.stream.settle import Settling
from services.stream_writer.budget import Budget
from services.stream_writer.stream import Hold
from tests.integration.processes import ServiceProcess
from tests.integration.servers import eventually
from tests.integration.stream_writer.conftest import NOBODY_DIED, StartWriter
from tests.integration.stream_writer.inlet import Documents, Inlet


async def test_all_entries_are_written_with_their_last_value_though_writers_are_killed(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    ids = [f"document-{n}" for n in range(1000)]
    # Batches grow to 100 at most: together they take ten seconds, however fast the machine is.
    slowly = {"WRITER_BATCH_SIZE": 20, "WRITER_COMMITS_PER_SECOND": 5}
    writers = [start_writer(f"writer-{n}", **slowly) for n in range(3)]
    await eventually(writers[0].ready)
    for version in range(5):
        await inlet.add_many((name, {"version": version}) for name in ids)
    await eventually(lambda: some_written(documents))
    writers[1].kill()
    assert not await inlet.empty(), "killed too late to prove anything"
    writers[1] = start_writer("writer-1")
    writers[2].kill()
    await eventually(inlet.empty)
    assert await documents.all() == {name: {"version": 4} for name in ids}
    assert await inlet.pending() == 0
    assert await inlet.dead() == []
    await eventually(writers[1].ready)
    # Consumers that are gone leave the group once others have taken over what they had.
    assert all(writer.terminate() == 0 for writer in writers[:2])
    assert not [name for name in await inlet.consumers() if not name.startswith("writer-2-")]


async def test_a_document_is_written_and_its_pending_copy_goes(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    writer = start_writer(**NOBODY_DIED)
    await inlet.add("a", {"name": "ä", "n": 1.5, "deep": [{"x": None}]}, cid="c-1")
    await eventually(inlet.empty)
    assert await documents.all() == {"a": {"name": "ä", "n": 1.5, "deep": [{"x": None}]}}
    assert await inlet.pending_keys() == []
    for name, value in {
        "writer_documents_total": 1,
        "writer_commits_total": 1,
        "writer_batch_size_count": 1,
        "writer_token_wait_seconds_count": 1,
    }.items():
        assert await writer.metric(name) == value, name
    log = writer.log.read_text()
    assert writer.terminate() == 0
    assert '"level": "warning"' not in log, log
    assert '"level": "error"' not in log, log


async def test_the_newest_entry_of_a_batch_wins(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    for version in range(10):
        for name in ("a", "b"):
            await inlet.add(name, {"version": version})
    writer = start_writer(WRITER_WORKERS=1, **NOBODY_DIED)
    await eventually(inlet.empty)
    assert await documents.all() == {"a": {"version": 9}, "b": {"version": 9}}
    assert await writer.metric("writer_commits_total") == 1
    assert await inlet.pending_keys() == []


async def test_of_a_stream_that_is_behind_five_full_batches_are_written_at_once(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    await inlet.add_many((f"document-{n}", {}) for n in range(2000))
    writer = start_writer(WRITER_WORKERS=1, **NOBODY_DIED)
    await eventually(inlet.empty)
    assert len(await documents.all()) == 2000
    assert await writer.metric("writer_commits_total") == 2


async def test_a_reader_renews_what_it_holds_and_takes_nothing_back(inlet: Inlet) -> None:
    entries = await inlet.add_many((f"document-{n}", {}) for n in range(2500))
    await inlet.redis.xgroup_create(names.STREAM, names.GROUP, "0")
    await inlet.redis.xreadgroup(names.GROUP, "one", {names.STREAM: ">"}, count=2500)
    taken, let_go = entries[1200], entries[2000]
    given: Any = (("one", entries), ("two", [taken]))
    for consumer, some in given:
        await inlet.redis.xclaim(
            names.STREAM, names.GROUP, consumer, 0, some, idle=3_600_000, justid=True
        )
    hold = Hold(inlet.redis, "one", claim_after=0)
    hold.take([entry for entry in entries if entry != let_go])
    await hold.renew()
    found = await inlet.in_hand()
    old = {about["message_id"].decode() for about in found if about["time_since_delivered"] > 10**6}
    assert old == {taken, let_go}
    assert len(await inlet.in_hand("one")) == 2499
    assert {about["times_delivered"] for about in found} == {1}


async def test_an_older_entry_that_is_written_later_changes_nothing(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    await inlet.redis.xgroup_create(names.STREAM, names.GROUP, "0", mkstream=True)
    older = await inlet.add("a", {"version": "older"})
    await inlet.redis.xreadgroup(names.GROUP, "gone", {names.STREAM: ">"})
    newer = await inlet.add("a", {"version": "newer"})
    # The older one is not overdue yet when the newer one is written, however long the start takes.
    writer = start_writer(WRITER_CLAIM_AFTER_SECONDS=45)
    await eventually(lambda: holds(documents, {"a": {"version": "newer"}}))
    [row] = await documents.fetch("SELECT * FROM documents")
    assert await inlet.length() == 1
    await inlet.redis.xclaim(
        names.STREAM, names.GROUP, "gone", 0, [older], idle=3_600_000, justid=True
    )
    await eventually(inlet.empty)
    assert await documents.fetch("SELECT * FROM documents") == [row]
    assert f"{row['entry_ms']}-{row['entry_seq']}" == newer
    assert await writer.metric("writer_entries_claimed_total") == 1
    assert await inlet.pending_keys() == []


async def test_settling_an_entry_leaves_the_pending_copy_of_a_newer_one(inlet: Inlet) -> None:
    await inlet.redis.xgroup_create(names.STREAM, names.GROUP, "0", mkstream=True)
    older = await inlet.add("a", {"version": 1})
    newer = await inlet.add("a", {"version": 2})
    other = await inlet.add("b", {})
    await inlet.redis.xreadgroup(names.GROUP, "test", {names.STREAM: ">"})
    settling = Settling(inlet.redis)
    assert await settling.settle([(older, "a"), (other, "b")]) == 2
    assert await inlet.pending_keys() == [names.PENDING + "a"]
    assert (await inlet.length(), await inlet.pending()) == (1, 1)
    assert await settling.settle([(older, "a")]) == 0
    assert await settling.bury(older, "too late", 1) is None
    assert (await inlet.dead(), await inlet.length()) == ([], 1)
    assert await settling.settle([(newer, "a")]) == 1
    assert await inlet.pending_keys() == []


async def test_a_fence_moves_when_a_document_changes_that_nobody_sees_pending(
    inlet: Inlet,
) -> None:
    settling, bucket = Settling(inlet.redis), str(names.fence("a"))
    first = await inlet.add("a", {"version": 1})
    second = await inlet.add("a", {"version": 2})
    await settling.settle([(first, "a"), (second, "a")])
    assert await inlet.redis.hgetall(names.FENCES) == {}
    for again in (1, 2):
        [entry] = await inlet.add_many([("a", {})])
        await settling.settle([(entry, "a")])
        await settling.settle([(entry, "a")])
        fences = await inlet.redis.hgetall(names.FENCES)
        assert fences == {bucket.encode(): f"{entry}:settled".encode()}, again
        # Settled a second time: another entry may have moved the fence in between.
        await inlet.redis.delete(names.FENCES)
        await settling.settle([(entry, "a")])
        assert await inlet.redis.hgetall(names.FENCES) == {}


async def test_many_thousand_entries_are_settled_in_one_call(inlet: Inlet) -> None:
    await inlet.redis.xgroup_create(names.STREAM, names.GROUP, "0", mkstream=True)
    entries = await inlet.add_many((str(n), {}) for n in range(6000))
    settled = await Settling(inlet.redis).settle([(one, str(n)) for n, one in enumerate(entries)])
    assert (settled, await inlet.length()) == (6000, 0)


async def test_all_writers_together_keep_to_the_commits_per_second(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    writers = [
        start_writer(f"writer-{n}", WRITER_BATCH_SIZE=2, WRITER_COMMITS_PER_SECOND=10)
        for n in range(2)
    ]
    for writer in writers:
        await eventually(writer.ready)
    began, before = time.monotonic(), await commits(writers)
    await inlet.add_many((f"document-{n}", {}) for n in range(400))
    await eventually(inlet.empty)
    seconds, made = time.monotonic() - began, await commits(writers) - before
    assert await documents.count() == 400
    # A batch that waits for its turn grows to five times its size.
    assert 40 <= made < 200
    # A slot that was reserved may be used a little later than it was meant for.
    assert made <= 10 * (seconds + 1)


async def test_a_slot_is_reserved_once_and_a_clock_that_was_set_back_stops_nobody(
    inlet: Inlet,
) -> None:
    budget = Budget(inlet.redis, 50)
    began = time.monotonic()
    waits = await asyncio.gather(*(budget.reserve() for _ in range(40)))
    passed = time.monotonic() - began
    assert sorted(waits)[: budget.burst] == [0] * budget.burst
    assert (40 - budget.burst) / 50 - passed <= max(waits) <= 40 / 50
    # Slots so far apart that the second is still ahead when it is asked for.
    slow = Budget(inlet.redis, 1 / 30)
    await inlet.redis.set(names.BUDGET, ahead(3600) * 1000)
    assert await slow.reserve() == 0
    assert 0 < await slow.reserve() <= 30


async def commits(writers: list[ServiceProcess]) -> float:
    return sum([await writer.metric("writer_commits_total") for writer in writers])


def ahead(seconds: float) -> int:
    """A moment in milliseconds; the server's clock is this machine's."""
    return round((time.time() + seconds) * 1000)


async def some_written(documents: Documents) -> bool:
    return await documents.count() > 0


async def holds(documents: Documents, expected: dict[str, object]) -> bool:
    return await documents.all() == expected


async def test_large_documents_are_written_as_soon_as_small_ones(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    """More of them than the server lets clients' answers take of its memory, all at once."""
    dropped = await evicted_clients(inlet)
    for first in range(0, 400, 20):
        await inlet.add_many(
            (f"document-{n}", {"text": "x" * 100_000}) for n in range(first, first + 20)
        )
    writer = start_writer("writer", WRITER_CLAIM_AFTER_SECONDS=3600)
    await eventually(inlet.empty)
    assert await documents.count() == 400
    assert await writer.metric("writer_entries_claimed_total") == 0
    assert await evicted_clients(inlet) == dropped


async def evicted_clients(inlet: Inlet) -> int:
    return (await inlet.redis.info("stats"))["evicted_clients"]
