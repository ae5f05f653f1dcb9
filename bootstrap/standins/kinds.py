"""What a stand-in says about one resource type: its properties and what to do with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bootstrap.standins.values import Unknown, has_unknown

Properties = dict[str, Any]


class StandinError(Exception):
    """A request that cannot be served; the text names field, reason and way out."""


class Change(Enum):
    """What a changed property asks for."""

    UPDATE = "update"
    REPLACE = "replace"


class Shape(Enum):
    """The JSON shape of a property."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


_PYTHON: Mapping[Shape, tuple[type, ...]] = {
    Shape.STRING: (str,),
    Shape.INTEGER: (int,),
    Shape.BOOLEAN: (bool,),
    Shape.ARRAY: (list,),
    Shape.OBJECT: (dict,),
}


@dataclass(frozen=True)
class Property:
    """An input property. ``refusal``: why this stand-in does not serve it although it exists."""

    shape: Shape
    required: bool = False
    default: Any = None
    change: Change = Change.REPLACE
    refusal: str | None = None


@dataclass(frozen=True)
class Failure:
    """One property that cannot stay as it is, and why."""

    name: str
    reason: str


def _to_nobody(text: str, *, ephemeral: bool = False, warning: bool = False) -> None:
    """Without an engine there is nobody to tell."""


def _never() -> bool:
    return False


@dataclass
class Job:
    """What a running create or update is told: for whom, and how to speak to the user.

    ``tell(text)`` adds a line under the resource; with ``ephemeral=True`` the line only shows
    until the next one. ``cancelled()`` says whether the user wants out.
    """

    urn: str = ""
    tell: Callable[..., None] = _to_nobody
    cancelled: Callable[[], bool] = _never


class Kind:
    """One resource type. Subclasses say what differs; states and inputs are plain values."""

    token: str
    inputs: Mapping[str, Property]
    # Properties only known once the resource is made, and those that are always secret.
    computed: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()

    def check(self, inputs: Properties) -> list[Failure]:
        """Failures beyond the shapes; values may be ``UNKNOWN`` in a preview."""
        return []

    def further_changes(self, state: Properties, inputs: Properties) -> dict[str, Change]:
        """Changes that do not lie in the inputs (an expired certificate, a changed file)."""
        return {}

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        """Make the resource: its id and its outputs without the inputs."""
        raise NotImplementedError

    def update(self, identity: str, state: Properties, inputs: Properties, job: Job) -> Properties:
        """Bring the resource in line with ``inputs``: outputs without the inputs."""
        return {name: state.get(name) for name in self.computed}

    def update_changes(self, state: Properties, inputs: Properties) -> set[str]:
        """Computed properties an update would change: unknown in its preview."""
        return set()

    def read(self, identity: str, state: Properties, job: Job) -> Properties | None:
        """The resource as it is now, None when it is gone."""
        return state

    def delete(self, identity: str, state: Properties, job: Job) -> None:
        """Remove what ``create`` made outside the state."""

    # -- the same for every type ------------------------------------------------------------

    def shape_failures(self, inputs: Properties) -> list[Failure]:
        """Unknown names, missing and wrongly shaped values, and properties not served."""
        failures: list[Failure] = []
        for name, value in inputs.items():
            declared = self.inputs.get(name)
            if declared is None:
                failures.append(
                    Failure(name, f"{name} is no property of {self.token}; it has "
                            f"{', '.join(sorted(self.inputs))}")
                )  # fmt: skip
            elif value is None or isinstance(value, Unknown):
                continue
            elif declared.refusal is not None:
                failures.append(Failure(name, declared.refusal))
            elif not _fits(value, declared.shape):
                failures.append(
                    Failure(name, f"{name} is {value!r}, not of type {declared.shape.value}")
                )
        failures += [
            Failure(name, f"{name} is missing; {self.token} needs it")
            for name, declared in self.inputs.items()
            if declared.required and inputs.get(name) is None
        ]
        return failures

    def defaults(self) -> Properties:
        """Values of the properties that have a default."""
        return {n: p.default for n, p in self.inputs.items() if p.default is not None}

    def changes(self, old: Properties, state: Properties, inputs: Properties) -> dict[str, Change]:
        """Every property that differs, and what that asks for. ``old`` are the former inputs."""
        defaults = self.defaults()
        found: dict[str, Change] = {}
        for name, declared in self.inputs.items():
            default = defaults.get(name)
            before, after = old.get(name), inputs.get(name)
            before = default if before is None else before
            after = default if after is None else after
            if has_unknown(after) or not same(before, after):
                found[name] = declared.change
        return found | self.further_changes(state, inputs)


def same(before: Any, after: Any) -> bool:
    """Equal, where an absent entry of a map is as good as null and an empty one as none."""
    return without_nulls(before) == without_nulls(after)


def without_nulls(value: Any) -> Any:
    """``value`` with null entries of maps dropped and empty maps and lists as None."""
    if isinstance(value, dict):
        entries: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        kept = {k: without_nulls(v) for k, v in entries.items() if v is not None}
        return kept or None
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [without_nulls(v) for v in items] or None
    return value


def _fits(value: Any, shape: Shape) -> bool:
    if isinstance(value, bool):
        return shape is Shape.BOOLEAN
    return isinstance(value, _PYTHON[shape])
