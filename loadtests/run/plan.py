"""What a run is to do, checked before anything starts, and handed to every process of it."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loadtests.documents.ways import WAYS, Way
from loadtests.run.shapes import SHAPES, Stage
from loadtests.target import Target
from loadtests.telemetry import client as telemetry

PLAN_VARIABLE: Final = "LOADTEST_PLAN"
MASTER_VARIABLE: Final = "LOADTEST_MASTER"

Flow = Literal["mixed", "write", "read"]
ShapeName = Literal["steady", "ramp", "spike", "soak"]
Where = Literal["machine", "cluster"]

ADDRESSES: Final = 28_000
"""Local addresses that a machine, or a pod, has for connections to one port."""


class Settings(BaseModel):
    """What the one who starts a run chooses; named as on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(default=10_000, ge=1, le=64 * ADDRESSES, description="USERS=10000")
    """At most, at the same time."""
    pace: float = Field(default=10, ge=0.01, le=70, description="PACE=10")
    """Seconds between two requests of a user, begin to begin. Below the 75 s after which a service
    closes a connection that nothing comes over."""
    seconds: float = Field(default=180, ge=1, le=86_400, description="SECONDS=180")
    """How long the shape holds its users, ramps not counted; a ramp lasts so long itself."""
    shape: ShapeName = Field(default="steady", description="SHAPE=steady, ramp, spike or soak")
    target: Target = Field(
        default="async", description="TARGET=async, TARGET=sync or TARGET=telemetry"
    )
    flow: Flow = Field(default="mixed", description="FLOW=mixed, write or read")
    rate: float = Field(default=200, ge=0.1, le=1_000, description="RATE=200")
    """Most users that come in each second."""
    workers: int = Field(default=2, ge=1, le=64, description="WORKERS=2")
    """Processes, on the cluster pods, that the users are spread over."""
    where: Where = Field(default="machine", description="WHERE=machine or WHERE=cluster")
    """Where the load is made. On the cluster the stack says how many workers, if not said here."""


class Plan(Settings):
    """The settings, and what the run found out before it began."""

    run: str = Field(pattern=r"^load-[0-9a-f]{8}$")
    """What every id of the run begins with."""
    host: str
    hot: int = Field(ge=1)
    """How many documents there are that everybody reads."""

    @property
    def way(self) -> Way | None:
        """Of documents; None: the run is about points."""
        return WAYS.get(self.target)

    @property
    def entry(self) -> str:
        """Of the stack: whose port answers."""
        return self.way.entry if self.way else telemetry.ENTRY

    @property
    def stages(self) -> tuple[Stage, ...]:
        return SHAPES[self.shape](self.users, self.seconds, self.rate)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The requests that the flow makes, by the names they are counted under."""
        way = self.way
        if way is None:
            post, read = telemetry.POST, (telemetry.GET, telemetry.ROLLUPS)
            return {"mixed": (post, *read), "write": (post,), "read": read}[self.flow]
        return {
            "mixed": (way.post, way.get, way.page),
            "write": (way.post,),
            "read": (way.get,),
        }[self.flow]


def hot_id(run: str, number: int) -> str:
    """The id of a document that everybody reads; 0 is the most popular one."""
    return f"{run}-hot-{number}"


def settings(**given: str | None) -> Settings:
    """The settings that were given, the others as they are by default.

    Raises:
        ValueError: one sentence for each that cannot be, with the way out.
    """
    try:
        return Settings.model_validate({name: text for name, text in given.items() if text})
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)
        raise ValueError("; ".join(_sentence(one) for one in wrong)) from None


def _sentence(wrong: Any) -> str:
    name = str(wrong["loc"][0])
    reason = wrong["msg"][0].lower() + wrong["msg"][1:]
    way_out = Settings.model_fields[name].description
    return f"{name.upper()} is {wrong['input']!r}: {reason}; for example {way_out}"


def check_open_files(plan: Settings, most: int) -> None:
    """Every user holds a connection open, in the process it is in; ``most`` files it may have.

    Raises:
        ValueError: a process would need more.
    """
    needed = -(-plan.users // plan.workers) + 500
    if needed > most:
        raise ValueError(
            f"USERS is {plan.users}: {needed} open files in each of {plan.workers} processes, and "
            f"the hard limit is {most}; take fewer users or more WORKERS"
        )


def check_addresses(plan: Settings) -> None:
    """Every connection has an address of its own; on the cluster each worker has all of them.

    Raises:
        ValueError: there are more users than addresses.
    """
    most = ADDRESSES * (plan.workers if plan.where == "cluster" else 1)
    if plan.users > most:
        way_out = "more WORKERS" if plan.where == "cluster" else "WHERE=cluster"
        raise ValueError(
            f"USERS is {plan.users}: there are {most} local addresses; take fewer, or {way_out}"
        )
