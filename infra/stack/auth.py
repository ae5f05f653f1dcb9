"""What the authorization server is given: its keys, the administrator's secret, and who it is."""

from collections.abc import Iterator

from components.kit import paths
from components.kit.args import Mount
from components.kit.bindings import Binding
from components.security.signing import SigningKeys, SigningKeysArgs
from infra.model.environment import Environment
from infra.model.objects import ADMINISTRATOR, SIGNING_KEYS
from infra.model.services import Service
from infra.stack.accounts import password
from infra.stack.foundation import APPS, Foundation
from infra.stack.tokens import issuer


def bindings(ground: Foundation, environment: Environment, record: Service) -> Iterator[Binding]:
    """Of the authorization server; none of another service."""
    if not record.issues_tokens:
        return
    settings = ground.settings.authentication
    administrator = password(ground, ADMINISTRATOR, APPS)
    keys = SigningKeys(
        SIGNING_KEYS,
        SigningKeysArgs(
            namespace=ground.namespaces.names[APPS],
            secret_name=SIGNING_KEYS,
            keys=settings.signing_keys,
            active=settings.active_key,
        ),
        ground.child,
    )
    secret, folder = paths.secret("administrator"), paths.secret("signing-keys")
    yield Binding(
        env={
            "AUTH_ISSUER": issuer(ground.settings, environment),
            "AUTH_LIFETIME_SECONDS": str(settings.token_seconds),
            "AUTH_ADMIN_SECRET_FILE": f"{secret}/password",
            "AUTH_KEYS_DIR": folder,
        },
        mounts=(
            Mount(files=administrator.files[APPS], path=secret),
            Mount(files=keys.files, path=folder),
        ),
    )
