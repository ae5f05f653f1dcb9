"""The users of a Kafka cluster and all the rights there are.

The cluster is the platform's own, so its users and ACLs are those of the spec and no others: who
left the spec must not keep a password that works.
"""

# confluent_kafka.admin re-exports its classes without saying so in __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from services.provision.kafka_answers import REQUEST_SECONDS, answers
from services.provision.kafka_logins import other
from services.provision.spec import UserSpec
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import read_secret

log = get_logger(__name__)

_SCRAM_ITERATIONS = 8192

_SCRAM: Final = {
    "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512,
    "SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256,
}
_NAMES: Final = {mechanism: name for name, mechanism in _SCRAM.items()}

Login = tuple[str, str]
"""A user and a mechanism: Kafka holds one password for both together."""

# resource type, name, operation: enough to compare two rights, since all else is fixed here.
Right = tuple[ResourceType, str, AclOperation]


def set_accounts(admin: AdminClient, users: Sequence[UserSpec]) -> None:
    """Make users and rights exactly those of the spec, whoever gave the others.

    Raises KafkaException.
    """
    _users(admin, users)
    _rights(admin, users)
    _remove_others(admin, passwords_of(users))


def passwords_of(users: Iterable[UserSpec]) -> dict[Login, Path]:
    """The file of every password that counts, by whose it is and its mechanism."""
    found: dict[Login, Path] = {}
    for user in users:
        found[user.name, user.mechanism] = user.password_file
        if user.previous and user.previous.accepted:
            # Known to the server already, unless its data are new.
            found[user.name, other(user.mechanism)] = user.previous.password_file
    return found


def _users(admin: AdminClient, users: Iterable[UserSpec]) -> None:
    # Kafka keeps a salted hash, so whether a password has changed cannot be asked: set each time.
    upsertions: dict[Login, Any] = {
        (name, mechanism): UserScramCredentialUpsertion(
            name,
            ScramCredentialInfo(_SCRAM[mechanism], _SCRAM_ITERATIONS),
            read_secret(file).encode(),
        )
        for (name, mechanism), file in passwords_of(users).items()
    }
    if upsertions:
        _alter(admin, upsertions)
        log.info("users_set", users=_names(upsertions))


def _alter(admin: AdminClient, alterations: Mapping[Login, Any]) -> None:
    for mechanism in _SCRAM:
        # Kafka refuses a request that names a user twice.
        these = [made for (_, its), made in alterations.items() if its == mechanism]
        if these:
            answers(admin.alter_user_scram_credentials(these, request_timeout=REQUEST_SECONDS))


def _names(logins: Iterable[Login]) -> list[str]:
    return sorted({name for name, _ in logins})


def rights_of(user: UserSpec) -> set[Right]:
    """All that `user` may do. An idempotent producer needs no more than WRITE since Kafka 3.0."""
    rights: set[Right] = set()
    for topic in user.produce:
        rights |= {
            (ResourceType.TOPIC, topic, AclOperation.WRITE),
            (ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
        }
    for topic in user.consume:
        rights |= {
            (ResourceType.TOPIC, topic, AclOperation.READ),
            (ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
        }
    for group in user.groups:
        rights.add((ResourceType.GROUP, group, AclOperation.READ))
    return rights


def _rights(admin: AdminClient, users: Iterable[UserSpec]) -> None:
    wanted = {_binding(f"User:{u.name}", right) for u in users for right in rights_of(u)}
    any_acl = AclBindingFilter(
        ResourceType.ANY,
        None,  # pyright: ignore[reportArgumentType] - the stub forgets "any name"
        ResourcePatternType.ANY,
        None,  # pyright: ignore[reportArgumentType] - and "any principal"
        None,  # pyright: ignore[reportArgumentType]
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found: list[AclBinding] = admin.describe_acls(any_acl, request_timeout=REQUEST_SECONDS).result()
    present = set(found)
    if missing := wanted - present:
        answers(admin.create_acls(list(missing), request_timeout=REQUEST_SECONDS))
        log.info("rights_given", rights=_shown(missing))
    if extra := present - wanted:
        answers(
            admin.delete_acls(
                [_exactly(binding) for binding in extra], request_timeout=REQUEST_SECONDS
            )
        )
        log.warning("rights_taken", rights=_shown(extra), reason="the spec does not give them")


def _remove_others(admin: AdminClient, keep: Container[Login]) -> None:
    """Delete every credential that is not in the spec: of users that left it, and the password
    before the one in use once it counts no more."""
    # One future for "all users"; the stub knows only the dict of them for users named.
    asked: Any = admin.describe_user_scram_credentials(request_timeout=REQUEST_SECONDS)
    found: Mapping[str, Any] = asked.result()
    deletions: dict[Login, Any] = {
        (user, name): UserScramCredentialDeletion(user, _SCRAM[name])
        for user, described in found.items()
        for credential in described.scram_credential_infos
        if (user, name := _NAMES[credential.mechanism]) not in keep
    }
    if deletions:
        _alter(admin, deletions)
        log.warning(
            "passwords_removed",
            users=_names(deletions),
            passwords=sorted(" ".join(login) for login in deletions),
            reason="the spec has no such user, or another password of it",
        )


def _shown(bindings: Iterable[Any]) -> list[str]:
    return sorted(f"{b.principal} {b.operation.name} {b.restype.name} {b.name}" for b in bindings)


def _binding(principal: str, right: Right) -> AclBinding:
    kind, name, operation = right
    return AclBinding(
        kind,
        name,
        ResourcePatternType.LITERAL,
        principal,
        "*",
        operation,
        AclPermissionType.ALLOW,
    )


def _exactly(binding: Any) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
