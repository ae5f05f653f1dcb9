"""Passwords: generated, kept in Secrets, read from mounted files, replaced while all goes on."""

from collections.abc import Mapping
from typing import Annotated, Final, Self

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random
from pydantic import Field, field_validator, model_validator

from components.kit import hashing, objects
from components.kit.args import Args, Files, Text
from components.kit.names import check_label
from components.security.certificate import encoded

PASSWORD: Final = "password"  # noqa: S105 - its name
PREVIOUS: Final = "previous"
"""Keys of the Secret; the latter only while the previous one is held."""
BEFORE: Final = "before"
"""What clients try second, in a Secret that is handed out with both. Not called as for those who
see to it which one is accepted: they must never get in by the other."""


class PasswordArgs(Args):
    """Where a generated password is needed, and which one of its line it is."""

    secret_name: str
    namespaces: Mapping[str, Text]
    """Short name to the namespace's name; each gets the Secret, with the key `password`."""
    length: Annotated[int, Field(ge=24, le=128)] = 32
    generation: Annotated[int, Field(ge=1)] = 1
    """Another one is another password."""
    holds_previous: bool = False
    """Whether the password before this one is there, too, as the key `previous`."""
    beside: Mapping[str, str] = {}
    """More keys of the Secret, none of them secret: what changes together with the password."""

    @field_validator("secret_name")
    @classmethod
    def _name(cls, name: str) -> str:
        return check_label(name)

    @model_validator(mode="after")
    def _previous_exists(self) -> Self:
        if self.holds_previous and self.generation == 1:
            raise ValueError("holds_previous, but nothing is before generation 1; raise generation")
        return self


class Password(pulumi.ComponentResource):
    """A random password (letters and digits) and its Secret in every namespace that reads it.

    Makes: RandomPassword of each generation held, one Secret per namespace.
    """

    value: pulumi.Output[str]
    """Secret."""
    held: pulumi.Output[list[str]]
    """Secret: the password, then the previous one if it is held."""
    files: dict[str, Files]
    """Short namespace name to the Secret; mount it at `paths.secret(what)`."""

    def __init__(
        self, name: str, args: PasswordArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:secrets:Password", name, None, opts)
        self._args = args
        self.value = self._generation(name, args.generation)
        held = [self.value]
        if args.holds_previous:
            held.append(self._generation(name, args.generation - 1))
        self._held = held
        self.held = pulumi.Output.all(*held)
        self.files = {
            short: self._secret(short, namespace, dict(zip((PASSWORD, PREVIOUS), held)))  # noqa: B905 - one or both
            for short, namespace in args.namespaces.items()
        }
        self.register_outputs(
            {
                "value": self.value,
                "held": self.held,
                "files": {short: files.outputs() for short, files in self.files.items()},
            }
        )

    def hand_out(
        self, short: str, namespace: Text, after: pulumi.Resource, *, both: bool = False
    ) -> Files:
        """One Secret more, of the password alone, for clients: it is made, and changes, only after
        what teaches the server the password. With `both`, of all that are held."""
        known: Mapping[str, pulumi.Output[str]] = dict(
            zip((PASSWORD, BEFORE), self._held, strict=False)
        )
        return self._secret(short, namespace, known if both else {PASSWORD: self.value}, after)

    def _generation(self, name: str, number: int) -> pulumi.Output[str]:
        password = random.RandomPassword(
            # The first has no number: it is from before there were several.
            name if number == 1 else f"{name}-{number}",
            length=self._args.length,
            # Letters and digits need no quoting in SQL, JAAS, ACL files and URLs.
            special=False,
            # Other keepers would make another password of a generation that servers know.
            keepers={"rotation": "1"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.secret(password.result)

    def _secret(
        self,
        short: str,
        namespace: Text,
        passwords: Mapping[str, pulumi.Output[str]],
        after: pulumi.Resource | None = None,
    ) -> Files:
        name = self._args.secret_name
        secret = k8s.core.v1.Secret(
            f"{name}-{short}",
            metadata=objects.metadata(name, namespace, objects.labels(name, "secrets")),
            type="Opaque",
            data={key: value.apply(encoded) for key, value in passwords.items()}
            | {key: encoded(text) for key, text in self._args.beside.items()},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[after] if after else None),
        )
        # 24 or more random letters and digits cannot be found from a hash, so the hash may be
        # read by whoever can read pods.
        version = pulumi.Output.all(*passwords.values()).apply(" ".join).apply(hashing.digest)
        return Files(
            kind="Secret",
            name=secret.metadata.apply(objects.name_of),
            version=pulumi.Output.unsecret(version),
        )
