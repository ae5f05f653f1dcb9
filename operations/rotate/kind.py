"""What a kind of secret is to a rotation: its phases, and how the stack's file says which it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra.model.records import Records
from operations.rotate.stack import Stack

Value = str | int | bool | None
Changes = Mapping[str, Value]
"""Path below `millrace:` to what it becomes; None: it is removed."""


@dataclass(frozen=True)
class Step:
    """Something that may be done again without harm: a crash may come at any moment."""

    name: str
    """As the audit line has it: `updated`, `clients have it`."""
    do: Callable[[Stack, str], None]
    """Of the stack, for the secret. Returns when it is so; raises when it cannot be."""


@dataclass(frozen=True)
class Phase:
    """What is done while the stack's file says this, and what it says afterwards."""

    name: str
    steps: Sequence[Step]
    then: Callable[[Stack, str], Changes]


@dataclass(frozen=True)
class Kind:
    """One kind of secret."""

    name: str
    secrets: Callable[[Records], Sequence[str]]
    """Those that there are."""
    generation: Callable[[Stack, str], str]
    """Which one is in use, for people."""
    phase: Callable[[Stack, str], str]
    """Where a rotation of it stands, by the stack's file; empty: none is going on."""
    begin: Callable[[Stack, str], Changes]
    """What a rotation begins with: what the stack's file says in the first phase."""
    phases: Sequence[Phase]
    """In their order."""

    def due(self, stack: Stack, secret: str) -> Phase | None:
        """The phase that a rotation of it is in; None: none is going on."""
        name = self.phase(stack, secret)
        return next((phase for phase in self.phases if phase.name == name), None)
