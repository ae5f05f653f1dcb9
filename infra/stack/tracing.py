"""What services are told about traces: where their spans go, how many, and what the spans say of
the process that made them."""

import tomllib
from typing import Final

from components.kit import paths
from components.kit.args import Text
from infra.images.own import REPOSITORY_ROOT
from infra.model import variables
from infra.model.edges import COLLECTOR_PORT
from infra.model.objects import COLLECTOR, MONITORING
from infra.model.services import Service
from infra.model.settings import PlatformSettings

_POD: Final = "TRACING_POD"
_COLLECTOR: Final = f"https://{COLLECTOR}.{MONITORING}.svc:{COLLECTOR_PORT}"
"""The platform's own."""


def told(settings: PlatformSettings, namespace: Text, record: Service) -> dict[str, Text]:
    """Variables of a service that makes spans; none to one that makes none."""
    endpoint = _endpoint(settings, record)
    if endpoint is None:
        return {}
    said: dict[str, Text] = {
        "TRACING_ENDPOINT": endpoint,
        "TRACING_SAMPLING": f"{settings.tracing.sampling:g}",
        "TRACING_SERVICE_VERSION": _version(),
        "TRACING_NAMESPACE": namespace,
    }
    return said | ({"TRACING_CA_FILE": paths.CA_FILE} if endpoint.startswith("https:") else {})


def pod_name_env(settings: PlatformSettings, record: Service) -> tuple[str, ...]:
    """The variable that carries the pod's name, for those."""
    return (_POD,) if _endpoint(settings, record) is not None else ()


def _endpoint(settings: PlatformSettings, record: Service) -> str | None:
    if not variables.makes_spans(record):
        return None
    return settings.tracing.endpoint or _COLLECTOR


def _version() -> str:
    text = (REPOSITORY_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["version"]
