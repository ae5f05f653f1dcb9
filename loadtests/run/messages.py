"""What the processes that make the load tell the one that started them: a line of JSON each.

A worker's report travels in Locust's own to the master, which hands it on as it is. So it is the
same on one machine and on a cluster.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from loadtests.outcome import Outcome

BEGIN: Final = "begin"
"""The other way round, on the master's standard input: the users may come."""
TOKEN: Final = "token"  # noqa: S105 - a word
"""What users show from now on, behind a space: an Authorization header. Before the first of them
comes, and again whenever it is renewed."""
END: Final = "end"
"""They should leave. So they should at the end of the input."""
LOST: Final = "lost"
"""One worker more is gone, and its last report will not come."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Requests(_Message):
    """Requests of one endpoint, in the order in which they were answered."""

    name: str
    at: list[float]
    """When each was answered, seconds of the Unix epoch."""
    milliseconds: list[float]
    failures: dict[int, str]
    """Why, by position."""


class Report(_Message):
    """What happened in one worker since its report before."""

    kind: Literal["report"] = "report"
    worker: str
    number: int
    """From 0 without a gap: one that is missing would be missed."""
    at: float
    """When it was made, seconds of the Unix epoch."""
    last: bool
    """Every user of the worker is gone, and nothing follows."""
    users: int
    requests: list[Requests]
    writes: list[tuple[str, int, Outcome]]
    """Id, value, outcome."""
    errors: list[str]
    """What went wrong within the users themselves, which no request counts."""


class Event(_Message):
    """A moment of the run: ``users`` are there, or are wanted from now on."""

    kind: Literal["event"] = "event"
    what: Literal["wanted", "reached", "stopping", "stopped"]
    at: float
    users: int


Message = Annotated[Report | Event, Field(discriminator="kind")]
MESSAGE: TypeAdapter[Report | Event] = TypeAdapter(Message)
