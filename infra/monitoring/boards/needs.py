"""What a stack has of what not every stack has, by its settings."""

from infra.model.records import Records
from infra.model.settings import PlatformSettings
from infra.monitoring.boards.board import Need


def met(settings: PlatformSettings, records: Records) -> frozenset[Need]:
    """For `boards`, so that no board shows what cannot be there."""
    copied = (settings.mysql_of(name).replicas for name in records.server_names(engine="mysql"))
    sizes = (settings.services.of(service.name).replicas for service in records.services)
    found: dict[Need, bool] = {
        "autoscaling": any(not isinstance(size, int) for size in sizes),
        "copies": any(replicas > 1 for replicas in copied),
        "logs": settings.logs.enabled,
        "proxysql": any(settings.proxied(server) for server in records.servers),
    }
    return frozenset(need for need, there in found.items() if there)
