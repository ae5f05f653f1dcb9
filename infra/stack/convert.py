"""From settings, as a stack file spells them, to components' arguments."""

import pulumi

from components.kit.args import Resources, Storage, Text
from infra.model.settings import KubernetesSettings, ResourceSettings


def resources(settings: ResourceSettings) -> Resources:
    return Resources(
        cpu_request=settings.requests.cpu,
        cpu_limit=settings.limits.cpu,
        memory_request=settings.requests.memory,
        memory_limit=settings.limits.memory,
    )


def storage(size: str, settings: KubernetesSettings) -> Storage:
    return Storage(
        size=size,
        storage_class=settings.storage_class,
        retention=settings.volume_retention,
    )


def once(value: Text, *results: Text) -> pulumi.Output[str]:
    """The value, known only when the results are too.

    Data flow instead of `depends_on`: whoever uses the value waits for the Job that made the
    results, and, as the value itself stays the same, is not rolled when only the Job changes.
    """
    return pulumi.Output.all(value, *results).apply(lambda known: str(known[0]))
