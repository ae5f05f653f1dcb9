"""Section of a stack file: which generation of a secret is in use, and what of the one before it.

`make rotate` writes it, one change before each update, so that it says at any moment how far a
rotation is: whoever finds one half done goes on from here.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from infra.model.records import RECORDS
from infra.model.settings.base import Settings, keys, records, unknown

Previous = Literal["accepted", "refused", "forgotten"]
PreviousAuthority = Literal["signs", "trusted", "refused", "forgotten"]


def _check_previous(previous: str | None, generation: int) -> None:
    if previous is not None and generation == 1:
        raise ValueError(
            f"previous is {previous}, but generation is 1, which has none before it; set "
            "generation to 2, or remove previous"
        )


class PasswordSettings(Settings):
    """One password."""

    generation: Annotated[int, Field(ge=1)] = 1
    """Which one is in use; a number that was not there before is a new password."""
    previous: Previous | None = None
    """What becomes of the one before: `accepted`, the server lets it in as well; `refused`, the
    server drops it and is seen to refuse it; `forgotten`, the program no longer has it. Not set: no
    rotation is going on."""

    @model_validator(mode="after")
    def _previous_exists(self) -> Self:
        """`previous` is said from the second generation on: the first has none before it."""
        _check_previous(self.previous, self.generation)
        return self

    @property
    def held(self) -> bool:
        """Whether the program still has the previous one."""
        return self.previous in ("accepted", "refused")


SigningPhase = Literal["published", "spreading", "signing", "ending", "dropped"]


class SigningKeySettings(Settings):
    """How far the replacement of the signing key is."""

    phase: SigningPhase | None = None
    """`published`: the next key is made known; `spreading`: services come to know it; `signing`: it
    signs; `ending`: what the key before it signed comes to its end; `dropped`: that one goes. Not
    set: no rotation is going on."""
    since: Annotated[int, Field(ge=0)] = 0
    """Second of Unix time from which `spreading` and `ending` are counted."""


class AuthoritySettings(Settings):
    """The internal CA in use."""

    generation: Annotated[int, Field(ge=1)] = 1
    """Which one is in use; a number that was not there before is a new CA."""
    previous: PreviousAuthority | None = None
    """What becomes of the one before: it `signs` still, and both are trusted; it is `trusted`, and
    the new one signs; it is `refused`; `forgotten`, the program no longer has it. Not set: no
    rotation is going on."""

    @model_validator(mode="after")
    def _previous_exists(self) -> Self:
        """`previous` is said from the second generation on: the first has none before it."""
        _check_previous(self.previous, self.generation)
        return self


class RotationSettings(Settings):
    """Which secrets are not the first of their kind any more. `make rotate` writes it."""

    passwords: Annotated[Mapping[str, PasswordSettings], keys(RECORDS.passwords())] = {}
    """A password's Secret to where it stands. One that is not named is the first."""
    signing_key: SigningKeySettings = SigningKeySettings()
    """Of the key that signs tokens; which ones there are is `millrace:authentication`'s to say."""

    authority: AuthoritySettings = AuthoritySettings()
    """Where the internal CA stands."""

    @model_validator(mode="after")
    def _known_passwords(self, info: ValidationInfo) -> Self:
        """Every key of `passwords` is the Secret of a password that the records ask for."""
        known = records(info).passwords()
        for name in self.passwords:
            if name not in known:
                raise ValueError(unknown("password", name, known))
        return self

    def of(self, name: str) -> PasswordSettings:
        return self.passwords.get(name) or PasswordSettings()
