"""Entries that can never be stored are put away, and everything else goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from services.shared.stream import names
from services.stream_writer import __main__ as command
from tests.integration.authority import PATIENCE
from tests.integration.processes import ServiceProcess
from tests.integration.servers import eventually
from tests.integration.stream_writer.conftest import NOBODY_DIED, StartWriter
from tests.integration.stream_writer.inlet import Documents, Inlet

Operator = Callable[..., Awaitable[tuple[int, str]]]

NUL = '{"text": "a\\u0000b"}'


@pytest.fixture
def operator(
    variables: dict[str, str],
    inlet: Inlet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    """`operator("dead", "list")`: exit code and output of the operator's command, which has the
    patience of a test."""
    monkeypatch.setattr(command, "REDIS_SECONDS", PATIENCE)
    assert inlet
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    async def run(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(command.main, list(arguments))
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


async def test_entries_that_the_database_refuses_are_put_away_and_all_others_are_stored(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    for n in range(30):
        await inlet.add(f"good-{n}", {"n": n})
    nul = await inlet.add("nul", NUL, cid="c-1", tp="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    await inlet.add("broken", '{"text": ')
    await inlet.add("latin", b'"\xe4"')
    await inlet.add("zero\0", {})
    await inlet.add("x" * 9000 + "y" * 9000, {})
    await inlet.redis.xadd(names.STREAM, {"something": "else"})
    writer = start_writer(**NOBODY_DIED)
    await eventually(inlet.empty)
    assert await documents.count() in (30, 31)  # the long id may compress below the limit
    dead = {letter.get("id", "?"): letter for letter in await inlet.dead()}
    assert {"nul", "broken", "latin", "zero\0", "?"} <= set(dead)
    assert (
        dead["nul"].items()
        >= {
            "doc": NUL,
            "cid": "c-1",
            "entry": nul,
            "deliveries": "1",
        }.items()
    )
    assert dead["nul"]["tp"].startswith("00-1")
    assert "UntranslatableCharacterError" in dead["nul"]["reason"]
    assert "InvalidTextRepresentationError" in dead["broken"]["reason"]
    assert dead["latin"]["reason"].startswith("no document: not UTF-8")
    assert dead["?"]["reason"] == "no document: without id and doc"
    assert await inlet.pending_keys() == []
    await eventually(lambda: gauge_is(writer, "stream_dead_letters", len(dead)))


async def test_the_last_good_entry_of_a_document_is_stored_when_a_newer_one_is_refused(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    await inlet.add("a", {"version": 1})
    await inlet.add("a", {"version": 2})
    await inlet.add("a", NUL)
    start_writer(WRITER_WORKERS=1)
    await eventually(inlet.empty)
    assert await documents.all() == {"a": {"version": 2}}
    assert [letter["doc"] for letter in await inlet.dead()] == [NUL]


async def test_an_entry_that_has_no_answer_is_tried_alone_and_then_put_away_unread(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    await inlet.redis.xgroup_create(names.STREAM, names.GROUP, "0", mkstream=True)
    counts = {"killer": 6, "suspect": 5, "innocent": 4, "new": 1}
    entries = {name: await inlet.add(name, {"name": name}) for name in counts}
    await inlet.redis.xreadgroup(names.GROUP, "dead", {names.STREAM: ">"})
    # As after so many processes that died over it, the last one an hour ago: to be overdue they
    # need no writer that takes its own for overdue, too, when it gets no time for a second.
    for name, count in counts.items():
        await inlet.redis.xclaim(
            names.STREAM,
            names.GROUP,
            "dead",
            0,
            [entries[name]],
            idle=3_600_000,
            retrycount=count,
        )
    writer = start_writer(WRITER_CLAIM_AFTER_SECONDS=45)
    await eventually(inlet.empty)
    assert set(await documents.all()) == {"suspect", "innocent", "new"}
    [letter] = await inlet.dead()
    assert (letter["id"], letter["entry"]) == ("killer", entries["killer"])
    assert letter["reason"] == "no answer to 6 deliveries, the last one alone"
    assert letter["deliveries"] == "6"
    alone = [line for line in writer.log.read_text().splitlines() if "entry_tried_alone" in line]
    assert [json.loads(line)["entry"] for line in alone] == [entries["suspect"]]
    assert await inlet.pending_keys() == []


async def test_dead_letters_are_listed_replayed_and_discarded(
    inlet: Inlet, documents: Documents, start_writer: StartWriter, operator: Operator
) -> None:
    for name in ("a", "b", "c"):
        await inlet.add(name, NUL, cid="c-1")
    writer = start_writer(**NOBODY_DIED)
    await eventually(inlet.empty)
    letters = {letter["id"]: letter["letter"] for letter in await inlet.dead()}
    code, said = await operator("dead", "list")
    assert code == 0, said
    listed = [json.loads(line) for line in said.splitlines()]
    assert [(one["dead_letter"], one["id"]) for one in listed] == [
        (letter, name) for name, letter in letters.items()
    ]
    assert listed[0]["bytes"] == len(NUL)
    assert (listed[0]["deliveries"], listed[0]["correlation_id"]) == (1, "c-1")
    assert "UntranslatableCharacterError" in listed[0]["reason"]

    code, said = await operator("dead", "discard", letters["a"])
    assert (code, said) == (0, f"{letters['a']}: is dropped\n")
    # Refused again: it is dead again, under another name, and still the entry that it was.
    code, said = await operator("dead", "replay", letters["b"])
    assert code == 0, said
    assert f"{letters['b']}: in the stream again as " in said
    await eventually(inlet.empty)
    again = {letter["id"]: letter for letter in await inlet.dead()}
    assert set(again) == {"b", "c"}
    assert again["b"]["letter"] != letters["b"]
    assert again["b"]["entry"] == listed[1]["entry"]

    code, said = await operator("dead", "replay", "--all")
    assert code == 0, said
    assert said.endswith("dead letters replayed: 2\n")
    await eventually(inlet.empty)
    assert len(await inlet.dead()) == 2
    assert await documents.count() == 0
    assert writer.running()


async def test_a_replayed_dead_letter_does_not_win_over_what_came_since(
    inlet: Inlet, documents: Documents, start_writer: StartWriter, operator: Operator
) -> None:
    # As if it had been refused for a reason that is gone.
    entries = {name: await inlet.add(name, {"version": 1}) for name in ("a", "b")}
    await inlet.redis.delete(names.STREAM)
    for name, entry in entries.items():
        await inlet.redis.xadd(
            names.DEAD,
            {"id": name, "doc": '{"version": 1}', "entry": entry, "reason": "", "deliveries": "1"},
        )
    start_writer()
    await inlet.add("a", {"version": 2})
    await eventually(inlet.empty)
    code, said = await operator("dead", "replay", "--all")
    assert code == 0, said
    await eventually(inlet.empty)
    assert await documents.all() == {"a": {"version": 2}, "b": {"version": 1}}
    assert await inlet.dead() == []


@pytest.mark.parametrize("action", ["replay", "discard"])
@pytest.mark.parametrize("letter", ["1-0", "yesterday"])
async def test_commands_on_what_is_no_dead_letter_fail_and_say_so(
    operator: Operator, action: str, letter: str
) -> None:
    assert await operator("dead", action, letter) == (
        1,
        f"{letter}: no dead letter; see `dead list`\n",
    )


async def gauge_is(writer: ServiceProcess, name: str, value: float) -> bool:
    return await writer.metric(name) == value
