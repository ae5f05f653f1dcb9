"""What services are told about tokens: whose they are, and where the keys of that issuer are."""

from typing import Final

from infra.model import variables
from infra.model.environment import Environment
from infra.model.objects import APPS
from infra.model.services import Service
from infra.model.settings import PlatformSettings
from infra.stack.urls import url

SERVICE: Final = "auth-service"
ENTRY: Final = "auth"
_KEYS: Final = ".well-known/jwks.json"


def issuer(settings: PlatformSettings, environment: Environment) -> str:
    """Where clients get tokens, and what every token says it is from."""
    return url(settings.entry, environment, ENTRY, "http")


def told(settings: PlatformSettings, environment: Environment, record: Service) -> dict[str, str]:
    """Variables of a service that takes tokens; none of another."""
    if not variables.takes_tokens(record):
        return {}
    if not settings.authentication.required:
        return {"AUTH_MODE": "off"}
    return {
        "AUTH_MODE": "required",
        "AUTH_ISSUER": issuer(settings, environment),
        # The port is the Service's: inside the cluster nobody has to come back in by the entry.
        "AUTH_JWKS_URL": f"http://{SERVICE}.{APPS}.svc/{_KEYS}",
    }
