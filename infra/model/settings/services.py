"""Section of a stack file: the services' sizes."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from components.kit import rules
from infra.model import variables
from infra.model.records import DEFAULT, RECORDS, Records
from infra.model.settings.base import ResourceSettings, Settings, records, size, unknown

NUMBER: Final = "(number)"
RANGE: Final = "(range)"
"""Parts of an error's location that no stack file has: the shape a value was taken for."""


class UpSettings(Settings):
    """How fast an autoscaler adds pods"""

    after_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """How long the load must have asked for more: a shorter peak adds none."""
    pods: Annotated[int, Field(ge=1, le=100)] = 4
    """So many at most in each period."""
    every_seconds: Annotated[int, Field(ge=1, le=1800)] = 15
    """The period."""


class DownSettings(Settings):
    """How fast an autoscaler takes pods away"""

    after_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """How long fewer must have been enough: a shorter lull takes none away."""
    pods: Annotated[int, Field(ge=1, le=100)] = 1
    """So many at most in each period."""
    every_seconds: Annotated[int, Field(ge=1, le=1800)] = 60
    """The period."""


class ReplicaRange(Settings):
    """A range of replicas"""

    min: Annotated[int, Field(ge=1, le=100)]
    """Pods when there is little to do, and at first."""
    max: Annotated[int, Field(ge=2, le=100)]
    """Pods at most; what they may connect to counts this many."""
    cpu_percent: Annotated[int, Field(ge=10, le=100)] = 40
    """Of the requested processor time: above it, on average, pods are added, until what all use
    together is that much of what they request."""
    up: UpSettings = UpSettings()
    """How fast pods are added."""
    down: DownSettings = DownSettings()
    """How fast they are taken away."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        """`max` is above `min`; a fixed number is written as a number. `min` is at least 2: the
        disruption budget of a range lets one pod go."""
        rules.check_scale(self.min, self.max)
        return self


Replicas = Annotated[
    Annotated[int, Field(ge=1, le=100), Tag(NUMBER)] | Annotated[ReplicaRange, Tag(RANGE)],
    Discriminator(lambda given: RANGE if isinstance(given, dict | ReplicaRange) else NUMBER),
]


class ServiceSettings(Settings):
    """Size of one service; what it does is in infra/model/services.py."""

    replicas: Replicas = 2
    """Pods. A range is moved in by an autoscaler, which takes a cluster with the metrics API. Two
    or more also get a disruption budget."""
    resources: ResourceSettings = size("100m", "256Mi", "1", "512Mi")
    """Of a pod."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections to each of its databases, per pod, where its record does not say how many."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The lowest level that is logged."""
    environment: Mapping[str, variables.Value] = {}
    """More variables, by name, each of those that
    [a service reads](services.md#variables) and nobody else sets. What `default` says reaches the
    services that read it."""

    @property
    def most_replicas(self) -> int:
        return self.replicas if isinstance(self.replicas, int) else self.replicas.max


class ServicesSettings(RootModel[dict[str, ServiceSettings]]):
    """Service name to its size; `default` says it for all. What a service leaves unsaid is as
    `default` has it, and what that leaves unsaid as below."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        json_schema_extra={"propertyNames": {"enum": [DEFAULT, *RECORDS.service_names]}},
    )

    @model_validator(mode="after")
    def _known_names(self, info: ValidationInfo) -> Self:
        """Every key is `default` or the name of a service."""
        known = (DEFAULT, *records(info).service_names)
        for name in self.root:
            if name not in known:
                raise ValueError(unknown("service", name, known))
        return self

    @model_validator(mode="after")
    def _known_variables(self, info: ValidationInfo) -> Self:
        """Every variable in `environment` is one that the service reads, that neither the records
        nor another key set, and has a value that the service takes."""
        lines = [*_refused(self.root, records(info))]
        if lines:
            raise ValidationError.from_exception_data("environment", lines)
        return self

    def of(self, name: str) -> ServiceSettings:
        """The size of the service `name`."""
        said: dict[str, object] = {}
        environment: dict[str, variables.Value] = {}
        for given in filter(None, (self.root.get(DEFAULT), self.root.get(name))):
            said |= {field: getattr(given, field) for field in given.model_fields_set}
            environment |= given.environment
        return ServiceSettings().model_copy(update=said | {"environment": environment})


_OWN_KEYS: Final = {"LOG_LEVEL": "logLevel", "DATABASE_POOL_SIZE": "databasePoolSize"}
"""Variables that have a key of their own beside `environment`."""


def _no_variable(name: str, settable: tuple[str, ...]) -> str:
    if name in _OWN_KEYS:
        return f"{name} has a key of its own; write {_OWN_KEYS[name]} beside environment"
    return unknown("variable", name, settable)


def _refused(given: Mapping[str, ServiceSettings], known: Records) -> Iterator[InitErrorDetails]:
    of_any = variables.settable_of_any(known.services)
    services = {service.name: service for service in known.services}
    for name, settings in given.items():
        service = services.get(name)
        settable = variables.settable(service) if service else of_any
        told = {
            one: _no_variable(one, settable) for one in settings.environment if one not in settable
        }
        for each in (service,) if service else known.services:
            told |= variables.reasons(each, settings.environment)
        for one, reason in told.items():
            said = PydanticCustomError("value_error", "{reason}", {"reason": reason})
            where = (name, "environment", one)
            yield InitErrorDetails(type=said, loc=where, input=settings.environment[one])
