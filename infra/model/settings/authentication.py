"""Section of a stack file: who may call the APIs."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.model.settings.base import Identifier, Settings


class AuthenticationSettings(Settings):
    """Tokens: whether the APIs ask for them, which keys sign them, how long they last."""

    required: bool = True
    """Whether the APIs ask for tokens. If not, whoever reaches an entry may do everything."""
    signing_keys: tuple[Identifier, ...] = ("key-1",)
    """The keys that are published, by name: made when the name first stands here, gone with it. A
    key that signed stays until its last token has ended, so another one comes beside it."""
    active_key: Identifier = "key-1"
    """The one that signs. Name it in an update after the one that made it: services have to have
    seen it."""
    token_seconds: Annotated[int, Field(ge=30, le=86_400)] = 600
    """How long a token is valid, and so how long a client that was deactivated goes on at most."""

    @model_validator(mode="after")
    def _active_key_is_published(self) -> Self:
        """`activeKey` is one of `signingKeys`, each of which stands there once: what is signed with
        a key that nobody knows is refused everywhere."""
        if len(set(self.signing_keys)) != len(self.signing_keys):
            raise ValueError("signingKeys names a key twice; a name is one key")
        if self.active_key not in self.signing_keys:
            raise ValueError(
                f"activeKey is {self.active_key!r}, which signingKeys does not name, so every "
                "token would be refused; add it there, or name one of them"
            )
        return self
