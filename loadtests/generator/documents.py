"""The users who write and read documents: what each of them does."""

import random
from contextlib import suppress

from locust import task

from loadtests.documents.client import Document, Documents
from loadtests.exchange import RequestFailed
from loadtests.generator.paced import PacedUser
from loadtests.outcome import Outcome
from loadtests.run.plan import Plan

BODY_BYTES = 256
REWRITES = 0.5
"""Of the writes, how many give a document that the user has already a new value."""
PAGE_LIMIT = 20


class DocumentUser(PacedUser):
    """Has documents of its own, and reads those that everybody reads."""

    abstract = True

    def arrive(self, plan: Plan) -> None:
        assert plan.way is not None, "the plan is about no documents"
        self._documents = Documents(self.transport, plan.way)
        self._count = 0
        self._mine: Document | None = None

    def write(self) -> Document | None:
        """Write a new document, or one of this user's own again; gives it if acknowledged.

        An id whose last outcome is unknown is left alone: what it has to hold could not be said.
        """
        document = self._next_document()
        self._mine = None
        outcome = Outcome.UNKNOWN  # also for a user who has to leave before the answer
        try:
            self._documents.write(document)
            outcome = Outcome.ACKED
        except RequestFailed as failed:
            outcome = failed.outcome
            return None
        finally:
            self.journey.recorder.wrote(document.id, document.value, outcome)
        self._mine = document
        return document

    def _next_document(self) -> Document:
        if self._mine is not None and random.random() < REWRITES:  # noqa: S311
            return self._mine.model_copy(update={"value": self._mine.value + 1})
        self._count += 1
        document_id = f"{self.name}-{self._count}"
        return Document(id=document_id, value=1, text="x" * (BODY_BYTES - len(document_id) - 32))

    def read_back(self, document: Document) -> None:
        """Read what was just acknowledged, without waiting for the turn that this takes."""
        self.pace.skip()
        with suppress(RequestFailed):
            self._documents.read_back(document)

    def read_popular(self) -> None:
        """Read one of the documents that everybody reads."""
        with suppress(RequestFailed):
            self._documents.read(self.journey.popular())

    def read_page(self) -> None:
        """Read the first page of the list."""
        with suppress(RequestFailed):
            self._documents.page(PAGE_LIMIT)


class MixedUser(DocumentUser):
    """Of its requests 30 % are writes, 30 % read these back, 35 % are popular, 5 % are pages."""

    @task(30)
    def write_and_see(self) -> None:
        written = self.write()
        if written is not None:
            self.read_back(written)

    @task(35)
    def look_at_a_popular_one(self) -> None:
        self.read_popular()

    @task(5)
    def look_at_the_list(self) -> None:
        self.read_page()


class WritingUser(DocumentUser):
    """Writes only."""

    @task
    def write_one(self) -> None:
        self.write()


class ReadingUser(DocumentUser):
    """Reads popular documents only."""

    @task
    def look_at_a_popular_one(self) -> None:
        self.read_popular()
