"""The users of a Kafka cluster and all the rights there are.

The cluster is the platform's own, so its users and ACLs are those of the spec and no others: who
left the spec must not keep a password that works.
"""

# confluent_kafka.admin re-exports its classes without saying so in __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

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
from services.provision.spec import UserSpec
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import read_secret

log = get_logger(__name__)

_SCRAM_ITERATIONS = 8192

# resource type, name, operation: enough to compare two rights, since all else is fixed here.
Right = tuple[ResourceType, str, AclOperation]


def set_accounts(admin: AdminClient, users: Sequence[UserSpec]) -> None:
    """Make users and rights exactly those of the spec, whoever gave the others.

    Raises KafkaException.
    """
    _users(admin, users)
    _rights(admin, users)
    _remove_others(admin, {user.name for user in users})


def _users(admin: AdminClient, users: Iterable[UserSpec]) -> None:
    # Kafka keeps a salted hash, so whether a password has changed cannot be asked: set each time.
    upsertions: Any = [
        UserScramCredentialUpsertion(
            user.name,
            ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _SCRAM_ITERATIONS),
            read_secret(user.password_file).encode(),
        )
        for user in users
    ]
    if upsertions:
        answers(admin.alter_user_scram_credentials(upsertions, request_timeout=REQUEST_SECONDS))
        log.info("users_set", users=[upsertion.user for upsertion in upsertions])


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


def _remove_others(admin: AdminClient, keep: Set[str]) -> None:
    """Delete the credentials of every user that is not in the spec."""
    # One future for "all users"; the stub knows only the dict of them for users named.
    asked: Any = admin.describe_user_scram_credentials(request_timeout=REQUEST_SECONDS)
    found: Mapping[str, Any] = asked.result()
    deletions: list[Any] = [
        UserScramCredentialDeletion(user, credential.mechanism)
        for user, described in found.items()
        if user not in keep
        for credential in described.scram_credential_infos
    ]
    if deletions:
        answers(admin.alter_user_scram_credentials(deletions, request_timeout=REQUEST_SECONDS))
        log.warning(
            "users_removed",
            users=sorted({deletion.user for deletion in deletions}),
            reason="no service of the spec has them",
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
