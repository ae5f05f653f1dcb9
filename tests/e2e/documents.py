"""Documents as the end-to-end tests write them, and the books over them."""

import threading
import time

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.documents import closing
from loadtests.documents.client import Document, Documents
from loadtests.documents.over_httpx import documents_of
from loadtests.documents.ways import ASYNC, Way
from loadtests.exchange import RequestFailed
from loadtests.outcome import Outcome
from loadtests.values import ValueLedger

STORED_SECONDS = 60.0


def batch(
    prefix: str, number: int, value: int = 1, size: int = 50, text: str = ""
) -> list[Document]:
    return [Document(id=f"{prefix}-{number}-{n}", value=value, text=text) for n in range(size)]


def acknowledged(ledger: ValueLedger, documents: list[Document]) -> None:
    """Note a batch that was."""
    for document in documents:
        ledger.note(document.id, document.value, Outcome.ACKED)


def check_books(
    kube: Kube,
    prefix: str,
    ledger: ValueLedger,
    way: Way = ASYNC,
    within: float = STORED_SECONDS,
) -> None:
    """The store holds what was acknowledged, or what may have become of it, and nothing else.

    Raises:
        AssertionError: it does not come to that within the seconds given.
    """
    left = closing.close(kube, prefix, ledger, way, within)
    assert left.balanced, f"{within:.0f} s after the last write: {left}"


class Writer:
    """Writes batches until it is told to stop; its ledger has every outcome.

    `pause` (s) comes after each batch of `size` documents. Every id is written twice, so that the
    last value is worth looking at.
    """

    def __init__(
        self,
        checkout: Checkout,
        prefix: str,
        *,
        way: Way = ASYNC,
        pause: float = 0.0,
        size: int = 50,
        text: str = "",
    ) -> None:
        self._checkout = checkout
        self._prefix = prefix
        self._way = way
        self._pause = pause
        self._size = size
        self._text = text
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ledger = ValueLedger()
        self.refused = 0

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    @property
    def writes(self) -> int:
        """How many were acknowledged until now."""
        return self.ledger.count(Outcome.ACKED)

    @property
    def acknowledged(self) -> dict[str, int]:
        """The last value that was, by id, in the order in which ids were first sent."""
        accounts = list(self.ledger.accounts.items())  # at once: it is being added to
        return {key: one.acknowledged for key, one in accounts if one.acknowledged}

    def check_books(self, kube: Kube) -> None:
        """As the function of that name, for all that was written here."""
        check_books(kube, self._prefix, self.ledger, self._way)

    def _run(self) -> None:
        number = 0
        with documents_of(self._checkout, self._way) as documents:
            while not self._over.is_set():
                for value in (1, 2):
                    self._insist(
                        documents, batch(self._prefix, number, value, self._size, self._text)
                    )
                    self._over.wait(self._pause)
                number += 1

    def _insist(self, documents: Documents, given: list[Document]) -> None:
        """Again with the same ids until it is acknowledged: a repeat does no harm."""
        while not self._over.is_set():
            try:
                documents.write_all(given)
            except RequestFailed as failed:
                self.refused += 1
                for document in given:
                    self.ledger.note(document.id, document.value, failed.outcome)
                time.sleep(0.1)
            else:
                acknowledged(self.ledger, given)
                return
