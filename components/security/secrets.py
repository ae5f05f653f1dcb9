"""Passwords: generated once, kept in Secrets, read from mounted files."""

from collections.abc import Mapping
from typing import Annotated

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random
from pydantic import Field, field_validator

from components.kit import hashing, objects
from components.kit.args import Args, Files, Text
from components.kit.names import check_label
from components.security.certificate import encoded


class PasswordArgs(Args):
    """Where a generated password is needed."""

    secret_name: str
    namespaces: Mapping[str, Text]
    """Short name to the namespace's name; each gets the Secret, with the key `password`."""
    length: Annotated[int, Field(ge=24, le=128)] = 32
    rotation: str = "1"
    """Any other text makes a new password."""

    @field_validator("secret_name")
    @classmethod
    def _name(cls, name: str) -> str:
        return check_label(name)


class Password(pulumi.ComponentResource):
    """A random password (letters and digits) and its Secret in every namespace that reads it.

    Makes: RandomPassword, one Secret per namespace.
    """

    value: pulumi.Output[str]
    """Secret."""
    files: dict[str, Files]
    """Short namespace name to the Secret; mount it at `paths.secret(what)`."""

    def __init__(
        self, name: str, args: PasswordArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:secrets:Password", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        password = random.RandomPassword(
            name,
            length=args.length,
            # Letters and digits need no quoting in SQL, JAAS, ACL files and URLs.
            special=False,
            keepers={"rotation": args.rotation},
            opts=child,
        )
        self.value = pulumi.Output.secret(password.result)
        # 24 or more random letters and digits cannot be found from a hash, so the hash may be
        # read by whoever can read pods.
        version = pulumi.Output.unsecret(self.value.apply(hashing.digest))
        self.files = {}
        for short, namespace in args.namespaces.items():
            secret = k8s.core.v1.Secret(
                f"{args.secret_name}-{short}",
                metadata=objects.metadata(
                    args.secret_name, namespace, objects.labels(args.secret_name, "secrets")
                ),
                type="Opaque",
                data={"password": self.value.apply(encoded)},
                opts=child,
            )
            self.files[short] = Files(
                kind="Secret",
                name=secret.metadata.apply(objects.name_of),
                version=version,
            )
        self.register_outputs(
            {
                "value": self.value,
                "files": {short: files.outputs() for short, files in self.files.items()},
            }
        )
