"""What the writer makes of points, of points that come again, and of what is no point."""

from __future__ import annotations

import itertools

from services.contracts.topics import TELEMETRY_POINTS
from tests.integration.async_writer.conftest import UNHURRIED, StartWriter, commit, committed
from tests.integration.async_writer.points import TOGETHER, Sender, Table
from tests.integration.kafka_container import KafkaServer, Reader, headers_of
from tests.integration.servers import eventually


async def test_what_was_sent_is_in_the_table_and_its_offsets_are_committed(
    start_writer: StartWriter, sender: Sender, table: Table, kafka_server: KafkaServer, group: str
) -> None:
    before = sum(kafka_server.committed(group, [TELEMETRY_POINTS]).values())
    for n in range(2000):
        sender.point(f"device-{n % 50}", n / 7, n + 1, second=n // 50)
    sender.flush()
    writer = start_writer(**UNHURRIED)
    await eventually(table.equals(sender))
    await eventually(lambda: committed(kafka_server, group, before + 2000))
    await eventually(writer.ready)
    assert await writer.metric("async_writer_points_written_total") == 2000
    # It is measured every few seconds, maybe in the middle of them the last time.
    await eventually(lambda: writer.metric_is("kafka_consumer_lag", 0))
    assert writer.terminate() == 0


async def test_a_batch_is_one_insert_as_the_server_counts_them(
    start_writer: StartWriter, table: Table, kafka_server: KafkaServer
) -> None:
    # Connected by then: a login that takes too long would count as a statement that failed.
    writer = start_writer(**UNHURRIED)
    await eventually(writer.ready)
    sender = Sender(kafka_server, **TOGETHER)

    async def inserts() -> int:
        rows = await table.do("SHOW GLOBAL STATUS LIKE 'Com_insert'")
        return int(rows[0]["Value"])

    before = await inserts()
    for n in range(500):
        sender.point("counted", n, n + 1, second=n, partition=0)
    sender.flush()
    await eventually(table.equals(sender))
    # Counted when the answer is there, which is after the rows are.
    await eventually(lambda: writer.metric_is("async_writer_points_written_total", 500))
    statements = await writer.metric("async_writer_statements_total")
    # Those that a busy machine's disk kept waiting too long, and which were said again; and again
    # for as long as the one before, which nobody waited for any more, kept its locks.
    failed = await writer.metric("kafka_consumer_batch_retries_total")
    locked = await writer.metric("mysql_deadlocks_retried_total")
    assert statements - failed <= await inserts() - before <= statements + locked
    assert await writer.metric("async_writer_batch_points_count") == statements - failed
    # The first answer of a broker holds all of them, unless its batches came one after the other;
    # what failed is said in halves.
    assert statements - failed <= 3 * 2**failed


async def test_redelivery_of_everything_changes_nothing(
    start_writer: StartWriter, sender: Sender, table: Table, kafka_server: KafkaServer, group: str
) -> None:
    before = kafka_server.committed(group, [TELEMETRY_POINTS])
    for n in range(600):
        sender.point(f"again-{n % 20}", n, n + 1, second=n % 7)
    sender.flush()
    writer = start_writer()
    await eventually(table.equals(sender))
    writer.kill()
    # The state that a crash between the two commits leaves: rows there, offsets not.
    await eventually(lambda: commit(kafka_server, group, before))
    again = start_writer(**UNHURRIED)
    await eventually(lambda: again.metric_is("async_writer_points_written_total", 600))
    assert await table.rows() == sender.newest


async def test_of_one_key_the_newest_value_stays_in_whatever_order_the_points_come(
    start_writer: StartWriter, sender: Sender, table: Table
) -> None:
    # All orders of three versions, once in one batch and once against what is stored already.
    for round_ in ("one-batch", "stored-before"):
        for number, order in enumerate(itertools.permutations((1, 2, 3))):
            for version in order:
                sender.point(f"{round_}-{number}", version * 1.5, version, partition=1)
        if round_ == "one-batch":
            sender.flush()
            start_writer(ASYNC_WRITER_BATCH_SIZE=5)
            await eventually(table.equals(sender))
    sender.flush()
    await eventually(table.equals(sender))
    assert set((await table.rows()).values()) == {(4.5, 3)}


async def test_a_point_with_the_version_that_is_stored_changes_nothing(
    start_writer: StartWriter, sender: Sender, table: Table
) -> None:
    sender.point("equal", 1.0, 7)
    sender.flush()
    start_writer()
    await eventually(table.equals(sender))
    sender.point("equal", 2.0, 7)
    sender.point("after", 1.0, 1)
    sender.flush()
    await eventually(table.equals(sender))


async def test_values_and_times_come_back_as_they_were_sent(
    start_writer: StartWriter, sender: Sender, table: Table
) -> None:
    values = (0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 123456789.123456789, -2.5e-8, 3.0)
    for n, value in enumerate(values):
        sender.point("exact", value, 1, second=n, metric="a.b_c:d/e-f")
    sender.flush()
    start_writer()
    await eventually(table.equals(sender))


async def test_a_point_the_database_refuses_goes_to_the_dead_letters_and_all_others_are_stored(
    start_writer: StartWriter, table: Table, dead_letters: Reader, kafka_server: KafkaServer
) -> None:
    await table.do("ALTER TABLE telemetry ADD CONSTRAINT never CHECK (value <> 13)")
    # Connected by then: a login that takes too long would count as a statement that failed.
    writer = start_writer(**UNHURRIED)
    await eventually(writer.ready)
    sender = Sender(kafka_server, **TOGETHER)
    for n in range(500):
        sender.point("poisoned", 13 if n == 321 else n + 1000, n + 1, second=n, partition=2)
    sender.flush()
    await eventually(table.reach(499))
    [letter] = await dead_letters.wait(1)
    headers = headers_of(letter)
    assert headers["dead_letter_reason"].startswith("refused by the database: 3819 ")
    assert "never" in headers["dead_letter_reason"]
    assert (headers["dead_letter_topic"], headers["dead_letter_partition"]) == (
        TELEMETRY_POINTS,
        "2",
    )
    assert letter.key() == b"poisoned"
    assert b'"value": 13' in (letter.value() or b"")
    # Two for each halving, and those of the batches that were fine; all of it for each try, as a
    # busy machine's disk may need more than one.
    tries = 1 + await writer.metric("kafka_consumer_batch_retries_total")
    assert await writer.metric("async_writer_statements_total") <= (2 * 9 + 2 + 3) * tries
    assert await writer.metric("async_writer_points_dead_total") == 1
    del sender.newest[("poisoned", "temperature", "2026-01-01 00:05:21.000000")]
    assert await table.rows() == sender.newest


async def test_where_the_newest_of_a_key_is_refused_the_one_before_it_is_stored(
    start_writer: StartWriter, sender: Sender, table: Table, dead_letters: Reader
) -> None:
    await table.do("ALTER TABLE telemetry ADD CONSTRAINT never CHECK (value <> 13)")
    sender.point("older", 12, 1, partition=0)
    sender.point("older", 13, 2, partition=0)
    sender.flush()
    start_writer()
    await eventually(table.reach(1))
    await dead_letters.wait(1)
    assert set((await table.rows()).values()) == {(12.0, 1)}


async def test_what_is_no_point_goes_to_the_dead_letters_before_its_offset_is_committed(
    start_writer: StartWriter, sender: Sender, table: Table, dead_letters: Reader
) -> None:
    good = b'{"device_id":"d","metric":"m","ts":"2026-01-01T00:00:00Z","value":1.5,"version":1}'
    bad = {
        b"not JSON": "value: Invalid JSON",
        b"\xff\xfe": "value: Invalid JSON",
        b"[" * 10_000: "value: Invalid JSON",
        b"{}": "value.device_id: Field required",
        good.replace(b"1.5", b"NaN"): "value.value: Input should be a finite number",
        good.replace(b"1.5", b"1e999"): "value.value: Input should be a finite number",
        good.replace(b"1.5", b'"1.5"'): "value.value: Input should be a valid number",
        good.replace(b'"m"', b'"%s"' % (b"m" * 10_000)): "value.metric: String should have at most",
        good.replace(b"2026", b"9999"): "value.ts: Value error",
        good.replace(b"00Z", b"00"): "value.ts: Input should have timezone info",
        good.replace(b'"version":1', b'"version":-1'): "value.version: Input should be greater",
    }
    for value in bad:
        sender.send(b"d", value)
    sender.send(b"other", good)
    sender.send(None, good)
    sender.send(b"d", None)
    sender.point("fine", 1, 1)
    sender.flush()
    writer = start_writer(**UNHURRIED)
    letters = await dead_letters.wait(len(bad) + 3)
    await eventually(table.equals(sender))
    reasons = [headers_of(letter)["dead_letter_reason"] for letter in letters]
    for reason in (*bad.values(), "key: is not the device_id", "value: missing"):
        assert any(given.startswith(reason) for given in reasons), (reason, reasons)
    assert await writer.metric("async_writer_points_dead_total") == len(bad) + 3
    # Counted when Kafka has acknowledged them, and by then others may have read them.
    await eventually(
        lambda: writer.metric_is("kafka_consumer_dead_letters_total", float(len(bad) + 3))
    )
