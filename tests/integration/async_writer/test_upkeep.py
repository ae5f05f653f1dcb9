"""Points and rollups are kept for as long as the writer is told, and not a day less."""

from __future__ import annotations

from tests.integration.async_writer.conftest import StartWriter
from tests.integration.async_writer.points import Table
from tests.integration.servers import eventually

OLD, YOUNG = 2_500, 300

POINTS = (
    "INSERT INTO telemetry WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < {count}) SELECT '{device}', 'temperature',"
    " UTC_TIMESTAMP() - INTERVAL {hours} HOUR - INTERVAL i SECOND, i, i FROM n"
)
ROLLUPS = (
    "INSERT INTO telemetry_rollups VALUES"
    " ('{device}', 'm', UTC_TIMESTAMP() - INTERVAL {hours} HOUR, 60, 1, 1, 1, 1, 1, 1, 0)"
)
LEFT = "SELECT device_id, COUNT(*) AS n FROM {table} GROUP BY device_id ORDER BY device_id"


async def left(table: Table, name: str) -> dict[str, int]:
    return {row["device_id"]: row["n"] for row in await table.do(LEFT.format(table=name))}


async def test_what_is_too_old_goes_and_all_else_stays(
    start_writer: StartWriter, table: Table
) -> None:
    await table.do("SET GLOBAL cte_max_recursion_depth = 100000")
    for device, count, hours in (
        ("many", OLD, 49),
        ("many", YOUNG, 46),
        ("old", 3, 1000),
        ("young", YOUNG, 1),
    ):
        await table.do(POINTS.format(device=device, count=count, hours=hours))
    for device, hours in (("both", 73), ("both", 71), ("young", 49)):
        await table.do(ROLLUPS.format(device=device, hours=hours))
    kept = {"ASYNC_WRITER_KEEP_POINTS_DAYS": 2, "ASYNC_WRITER_UPKEEP_INTERVAL_SECONDS": 1}
    writers = [start_writer(f"writer-{n}", **kept) for n in (1, 2)]

    async def tended() -> bool:
        return await left(table, "telemetry") == {"many": YOUNG, "young": YOUNG}

    await eventually(tended)
    # For good, where nobody says for how long.
    assert await left(table, "telemetry_rollups") == {"both": 2, "young": 1}

    async def counted() -> bool:
        """When the answer is there, which is after the rows are gone; of one that a busy machine's
        disk delayed too long the writer says that it never came."""
        deleted = sum([await one.metric("async_writer_rows_deleted_total") for one in writers])
        assert deleted <= OLD + 3
        return deleted == OLD + 3 or any("upkeep_failed" in one.log.read_text() for one in writers)

    await eventually(counted)
    for writer in writers:
        await eventually(writer.ready)  # one may have begun when the other had done it all
        assert writer.terminate() == 0

    start_writer("writer-3", **kept, ASYNC_WRITER_KEEP_ROLLUPS_DAYS=3)

    async def rolled_up() -> bool:
        return await left(table, "telemetry_rollups") == {"both": 1, "young": 1}

    await eventually(rolled_up)
    assert await left(table, "telemetry") == {"many": YOUNG, "young": YOUNG}
