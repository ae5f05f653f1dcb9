"""A database of each engine as the tests of backups use it: two tables, and a writer to one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from bootstrap.kube import Kube, KubeError
from tests.e2e.cluster import wait_for

KEPT = "e2e_backups_kept"
WRITTEN = "e2e_backups_written"
ROWS = 5000


class Store(Protocol):
    """One database. Statements go through the server's own pod."""

    @property
    def database(self) -> str:
        """Its name."""
        ...

    def sql(self, script: str) -> str:
        """What the last statement of a script gives, bare. Raises KubeError."""
        ...

    def moment(self) -> str:
        """The server's clock, as TO takes it."""
        ...

    def make_tables(self) -> None:
        """One that nobody writes to, and one for the writer."""
        ...

    def checksum(self) -> str:
        """Of all rows of the first."""
        ...


@dataclass(frozen=True)
class Postgres:
    """See `Store`."""

    kube: Kube
    database: str = "restdb"

    def sql(self, script: str) -> str:
        """As the role that owns the database."""
        return self.kube.psql(self.database, f"SET ROLE {self.database};\n{script};").strip()

    def moment(self) -> str:
        """Microseconds included."""
        now = "clock_timestamp() AT TIME ZONE 'UTC'"
        return self.sql(f"""SELECT to_char({now}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""")

    def make_tables(self) -> None:
        """Anew."""
        drop(self)
        self.sql(
            f"CREATE TABLE {KEPT} AS"
            f" SELECT id, md5(id::text) AS text FROM generate_series(1, {ROWS}) id;"
            f"ALTER TABLE {KEPT} ADD PRIMARY KEY (id);"
            f"CREATE TABLE {WRITTEN} (number bigint PRIMARY KEY)"
        )

    def checksum(self) -> str:
        """Computed by the server."""
        return self.sql(f"SELECT md5(string_agg(k::text, ',' ORDER BY id)) FROM {KEPT} k")


@dataclass(frozen=True)
class MySQL:
    """See `Store`."""

    kube: Kube
    database: str = "client_db"

    def sql(self, script: str) -> str:
        """As the administrator, over the pod's socket."""
        return self.kube.mysql(self.database, script, server="client-database").strip()

    def moment(self) -> str:
        """Microseconds included."""
        return self.sql("SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')")

    def make_tables(self) -> None:
        """Anew."""
        drop(self)
        self.sql(
            f"SET SESSION cte_max_recursion_depth = {ROWS};"
            f"CREATE TABLE {KEPT} (id int PRIMARY KEY, text char(64));"
            f"INSERT INTO {KEPT} WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL"
            f" SELECT id + 1 FROM n WHERE id < {ROWS}) SELECT id, SHA2(id, 256) FROM n;"
            f"CREATE TABLE {WRITTEN} (number bigint PRIMARY KEY)"
        )

    def checksum(self) -> str:
        """Computed by the server."""
        return self.sql(
            "SET SESSION group_concat_max_len = 10000000;"
            f"SELECT SHA2(GROUP_CONCAT(CONCAT_WS(',', id, text) ORDER BY id), 256) FROM {KEPT}"
        )


def drop(store: Store) -> None:
    """Both tables, if they are there."""
    store.sql(f"DROP TABLE IF EXISTS {KEPT}, {WRITTEN}")


def numbers(store: Store) -> list[int]:
    """What the writer wrote and is there."""
    return [int(n) for n in store.sql(f"SELECT number FROM {WRITTEN} ORDER BY number").split()]


class Writer:
    """Writes 1, 2, 3 … and knows which were acknowledged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._between = threading.Lock()
        self.acknowledged: set[int] = set()
        """Goes on growing: whoever looks through it takes a copy."""
        self.refused = 0

    def _write(self) -> None:
        number = 1
        while not self._stop.wait(0.5):
            with self._between:
                try:
                    self._store.sql(f"INSERT INTO {WRITTEN} (number) VALUES ({number})")
                    self.acknowledged.add(number)
                except KubeError:
                    self.refused += 1
            number += 1

    @contextmanager
    def running(self) -> Iterator["Writer"]:
        """Into new tables, which are gone afterwards."""
        self._store.make_tables()
        self._thread.start()
        try:
            self.wait_for_more(1)
            yield self
        finally:
            self._stop.set()
            self._thread.join(60)
            drop(self._store)

    def moment_between(self) -> tuple[int, str]:
        """The last number that was acknowledged, and a time after it and before the next."""
        with self._between:
            return max(self.acknowledged), self._store.moment()

    def wait_for_more(self, count: int) -> None:
        """Acknowledged ones."""
        before = len(self.acknowledged)
        wait_for("more writes", lambda: len(self.acknowledged) >= before + count, seconds=60)
