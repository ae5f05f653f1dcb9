"""Who logs in to a database beside the services: those who take backups, and those who restore."""

from dataclasses import dataclass

from components.kit.args import Files


@dataclass(frozen=True)
class Account:
    """A user of a server, and the Secret with its password in the namespace data."""

    user: str
    password: Files
    names_user: bool = False
    """Whether the Secret says who logs in, in place of `user`."""


@dataclass(frozen=True)
class Operators:
    """Of one database."""

    administrator: Account
    """Restores."""
    backup: Account
    """Reads what a backup needs."""
    application: Account
    """Locked out while a restored database takes the place of the live one."""
    migrator: Account
    """Changes the schema."""
