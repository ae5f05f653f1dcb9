"""Writes points to MySQL."""

from __future__ import annotations

from collections.abc import Sequence

from pymysql import err

from services.async_writer.metrics import WriterMetrics
from services.async_writer.points import Point
from services.async_writer.refusals import RefusedError
from services.async_writer.statement import upsert
from services.shared.mysql.writer import Writer

# Beside those that the driver counts to DataError (too long, out of range) and IntegrityError.
_REFUSED = frozenset(
    {
        1292,  # ER_TRUNCATED_WRONG_VALUE: no such time
        1365,  # ER_DIVISION_BY_ZERO, in a generated column
        1367,  # ER_ILLEGAL_VALUE_FOR_TYPE
        1411,  # ER_WRONG_VALUE_FOR_TYPE
        1526,  # ER_NO_PARTITION_FOR_GIVEN_VALUE
        1644,  # ER_SIGNAL_EXCEPTION, of a trigger
        1690,  # ER_DATA_OUT_OF_RANGE, in an expression
        3819,  # ER_CHECK_CONSTRAINT_VIOLATED
    }
)


def is_refusal(error: BaseException) -> bool:
    """Whether the server blames the data of a row rather than the statement or itself."""
    if isinstance(error, (err.DataError, err.IntegrityError)):
        return True
    return isinstance(error, err.MySQLError) and bool(error.args) and error.args[0] in _REFUSED


class PointStore:
    """The table of points."""

    def __init__(self, writer: Writer, metrics: WriterMetrics) -> None:
        self._writer = writer
        self._metrics = metrics

    async def write(self, points: Sequence[Point]) -> None:
        """Store `points`, one per key and in the order of their keys, by one statement.

        Raises RefusedError when the data of any is refused, DatabaseUnavailableError and the
        driver's errors when the outcome is open.
        """
        self._metrics.statements.inc()
        try:
            await self._writer.execute(upsert(points))
        except err.MySQLError as error:
            if is_refusal(error):
                code, *text = error.args
                raise RefusedError(f"{code} {' '.join(map(str, text))}") from error
            raise
