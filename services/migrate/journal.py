"""Revisions on a server whose DDL is not transactional: what of a revision is done, statement by
statement.

Such a server commits every CREATE and ALTER by itself. A revision that fails half way leaves the
first of its statements behind, and Alembic's version table, which knows whole revisions only, says
truly that it was not applied. The journal says how far it came: the next run goes on with the
statement that failed, once it or what stood in its way is corrected.
"""

# Alembic offers no hook around one statement of a revision.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from alembic.ddl.mysql import MySQLImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from services.migrate.engine import MigrationError

TABLE: Final = "migration_journal"
_DONE_BEFORE: Final = frozenset({1050, 1051, 1060, 1061, 1068, 1091, 1826})
"""Table, column, key or constraint is there already, or gone."""


class _Impl(MySQLImpl):
    __dialect__ = "mysql"

    step: _Step | None = None
    """That of the revision at hand; None between revisions, for Alembic's own statements."""

    def _exec(self, construct: Any, *args: Any, **kwargs: Any) -> Any:
        run = super()._exec
        if self.step is None or self.as_sql:
            return run(construct, *args, **kwargs)
        return self.step.once(str(construct), lambda: run(construct, *args, **kwargs))


def keep(context: MigrationContext) -> None:
    """Have the context keep a journal of the revisions that it runs."""
    if context.as_sql or not isinstance(context.impl, _Impl):
        return
    impl, connection = context.impl, context.connection
    assert connection is not None
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {TABLE} (step VARCHAR(80) NOT NULL, position INT NOT NULL,"
        " statement CHAR(64) NOT NULL, done BOOLEAN NOT NULL, PRIMARY KEY (step, position))"
    )
    planned = context._migrations_fn
    assert planned is not None

    def steps(heads: Any, of: MigrationContext) -> Iterator[Any]:
        for step in planned(heads, of):
            step.migration_fn = _journalled(impl, connection, step)
            yield step

    context._migrations_fn = steps
    # Together with the version's own row: both are there, or neither is.
    context.on_version_apply_callbacks = (
        *context.on_version_apply_callbacks,
        lambda **_: connection.exec_driver_sql(f"DELETE FROM {TABLE}"),  # noqa: S608
    )


def half_done(connection: Connection) -> str | None:
    """Which revision was left in the middle, and at which of its statements; None: none was."""
    if not inspect(connection).has_table(TABLE):
        return None
    row = connection.exec_driver_sql(
        f"SELECT step, COUNT(*) - SUM(NOT done) FROM {TABLE} GROUP BY step"  # noqa: S608
    ).first()
    return None if row is None else f"{row[0]}, {row[1]} of its statements done"


def _journalled(impl: _Impl, connection: Connection, step: Any) -> Callable[..., None]:
    run = step.migration_fn
    name = f"{'up' if step.is_upgrade else 'down'} {step.revision.revision}"

    def migrate(**kwargs: Any) -> None:
        impl.step = _Step(connection, name)
        try:
            run(**kwargs)
            impl.step.check_whole()
        finally:
            impl.step = None

    return migrate


class _Step:
    """One revision in one direction."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._position = 0
        rows = connection.exec_driver_sql(f"SELECT * FROM {TABLE}").all()  # noqa: S608
        others = {row.step for row in rows} - {name}
        if others:
            raise MigrationError(
                f"{', '.join(others)} was left in the middle, so {name} would build on half of it;"
                " run that one to its end first"
            )
        self._known = {row.position: row for row in rows}

    def once(self, statement: str, run: Callable[[], Any]) -> Any:
        """Run the statement, unless an earlier run has done it."""
        self._position += 1
        digest = hashlib.sha256(statement.encode()).hexdigest()
        before = self._known.get(self._position)
        if before is not None and before.done:
            if before.statement != digest:
                raise MigrationError(
                    f"{self._name}: statement {self._position} is another one than that which an"
                    " earlier run has done; bring its text back, and correct what comes after it"
                )
            return None
        self._mark(digest, done=False)
        try:
            result = run()
        except DBAPIError as error:
            code = error.orig.args[0] if error.orig and error.orig.args else None
            # Begun by a run that ended before it could say that it was done.
            if before is None or before.statement != digest or code not in _DONE_BEFORE:
                shown = " ".join(statement.split())[:200]
                raise MigrationError(
                    f"{self._name} failed at its statement {self._position} ({shown}):"
                    f" {error.orig}; those before it stand. Correct the cause or this statement and"
                    " run it again: it goes on from here"
                ) from error
            result = None
        self._mark(digest, done=True)
        return result

    def check_whole(self) -> None:
        if left := [at for at, row in self._known.items() if row.done and at > self._position]:
            raise MigrationError(
                f"{self._name}: an earlier run has done {max(left)} statements of it, and now it"
                f" has {self._position}; bring the others back"
            )

    def _mark(self, digest: str, *, done: bool) -> None:
        self._connection.exec_driver_sql(
            f"REPLACE INTO {TABLE} VALUES (%s, %s, %s, %s)",  # noqa: S608
            (self._name, self._position, digest, done),
        )
        # With what the statement wrote, where it wrote rows.
        self._connection.exec_driver_sql("COMMIT")
