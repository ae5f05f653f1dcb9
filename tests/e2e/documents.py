"""Documents as the end-to-end tests write them, and what became of them in the database."""

import threading
import time

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.documents.client import Document, Documents, RequestFailed
from loadtests.documents.closing import DATABASE, STORE
from loadtests.documents.over_httpx import documents_of
from tests.e2e.cluster import wait_for


def batch(prefix: str, number: int, value: int = 1, size: int = 50) -> list[Document]:
    return [Document(id=f"{prefix}-{number}-{n}", value=value) for n in range(size)]


def stored(kube: Kube, prefix: str) -> dict[str, int]:
    """Value by id, of all stored documents of a run."""
    statement = f"""
        SELECT json_build_array(id, (document ->> 'value')::int) FROM documents
        WHERE id LIKE '{prefix}-%'"""
    return dict(kube.sql(DATABASE, statement, server=STORE))


def check_all_stored(kube: Kube, prefix: str, acknowledged: dict[str, int]) -> None:
    """AssertionError when a document is not stored, with the acknowledged value or a later one,
    within a minute."""
    late: list[tuple[str, int, int]] = []

    def all_there() -> bool:
        found = stored(kube, prefix)
        late[:] = [(n, v, found.get(n, 0)) for n, v in acknowledged.items() if found.get(n, 0) < v]
        return not late

    try:
        wait_for("every acknowledged document in the database", all_there, seconds=60)
    except TimeoutError as error:
        raise AssertionError(f"{error}; id, acknowledged, stored: {late[:10]}") from None


class Writer:
    """Writes batches until it is told to stop; knows what was acknowledged, by id.

    `pause` (s) comes after each batch of `size` documents.
    """

    def __init__(
        self, checkout: Checkout, prefix: str, *, pause: float = 0.0, size: int = 50
    ) -> None:
        self._checkout = checkout
        self._prefix = prefix
        self._pause = pause
        self._size = size
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.acknowledged: dict[str, int] = {}
        self.refused = 0

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        number = 0
        with documents_of(self._checkout) as documents:
            while not self._stop.is_set():
                # Every id twice, so that the last value is worth looking at.
                for value in (1, 2):
                    given = batch(self._prefix, number, value, self._size)
                    if self._insist(documents, given):
                        self.acknowledged |= {document.id: value for document in given}
                    self._stop.wait(self._pause)
                number += 1

    def _insist(self, documents: Documents, given: list[Document]) -> bool:
        """Again with the same ids until it is acknowledged: a repeat does no harm."""
        while not self._stop.is_set():
            try:
                documents.write_all(given)
            except RequestFailed:
                self.refused += 1
                time.sleep(0.1)
            else:
                return True
        return False
