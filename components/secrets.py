"""Passwords: generated once, kept in Secrets, read from mounted files."""

from collections.abc import Mapping

import pulumi

from components.args import Args, Files, Text


class PasswordArgs(Args):
    """Where a generated password is needed."""

    secret_name: str
    namespaces: Mapping[str, Text]
    """Short name to the namespace's name; each gets the Secret `secret_name` with key `password`."""
    length: int = 32
    rotation: str = "1"
    """Any other text makes a new password."""


class Password(pulumi.ComponentResource):
    """A random password (letters and digits) and its Secret in every namespace that reads it.

    Makes: RandomPassword, one Secret per namespace.
    """

    value: pulumi.Output[str]
    """Secret."""
    files: dict[str, Files]
    """Short namespace name to the Secret; mount it at /etc/millrace/secrets/<what>."""
