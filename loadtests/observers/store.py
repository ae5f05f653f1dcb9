"""The constrained store's own counters: one psql that prints them every other second."""

import subprocess
import threading
import time
from types import TracebackType

from pydantic import BaseModel

from bootstrap.kube import Kube, psql_args
from loadtests.documents.closing import DATABASE, STORE
from loadtests.documents.ways import Way
from loadtests.observers.sampling import INTERVAL_SECONDS

# Transactions that only read get no number, and cost the store no flush: the next number to be
# given counts the others. From version 18 on, the log's flushes are in pg_stat_io.
_FLUSHES = {
    17: "(SELECT wal_sync FROM pg_stat_wal)",
    18: "(SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal')",
}
_COUNTERS = """
SELECT json_build_object(
    'transactions', pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
    'flushes', {flushes},
    'rows', (SELECT coalesce(sum(n_tup_ins + n_tup_upd), 0)::bigint FROM pg_stat_user_tables
             WHERE relname = '{table}'))
"""


class Counters(BaseModel):
    """What the store has counted since it was made."""

    transactions: int
    """That wrote something."""
    flushes: int
    """Of its log, to disk."""
    rows: int
    """Documents inserted or updated."""


class StoreObserver:
    """Reads the counters while it is open; ``looks`` are the times and what was read then."""

    def __init__(self, kube: Kube, way: Way) -> None:
        self.looks: list[tuple[float, Counters]] = []
        self._kube = kube
        version = int(kube.psql(DATABASE, "SHOW server_version_num", server=STORE)) // 10_000
        self._statement = _COUNTERS.format(
            flushes=_FLUSHES[min(max(version, 17), 18)], table=way.table
        )
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, name="store", daemon=True)

    def now(self) -> Counters:
        """The counters at this moment.

        Raises:
            KubeError: the store could not be asked.
        """
        line = self._kube.psql(DATABASE, self._statement, server=STORE)
        return Counters.model_validate_json(line)

    def __enter__(self) -> "StoreObserver":
        self._process = subprocess.Popen(  # noqa: S603 - our own kubectl
            self._kube.command(*psql_args(DATABASE, STORE)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is not for it
        )
        assert self._process.stdin is not None
        # Standard input stays open: at its end psql would leave.
        self._process.stdin.write(f"{self._statement.strip()} \\watch {INTERVAL_SECONDS:g}\n")
        self._process.stdin.flush()
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip():
                self.looks.append((time.time(), Counters.model_validate_json(line)))
