"""What the platform runs of its own: services, archivers and the proxies before MySQL."""

from typing import Any, Final

from infra.model import operations
from infra.model.records import Records
from infra.model.servers import DATABASE_ENGINES, proxy
from infra.monitoring import exporters
from infra.monitoring.scraping.parts import NAME, Document, pods

_HTTP: Final = "http"
_LIBRARYS_OWN: Final[Document] = {
    # When a series began, and how Python collects its garbage: nobody asks for either.
    "source_labels": ["__name__"],
    "regex": ".+_created|python_gc_.+",
    "action": "drop",
}


def of_services(records: Records) -> list[dict[str, Any]]:
    """The services; archivers as the server they archive; ProxySQL, where the stack has it."""
    services = [
        (service.name, port.name)
        for service in records.services
        if (port := next((p for p in service.ports if p.protocol == "http"), None)) is not None
    ]
    proxies = [(proxy(server.name), "metrics") for server in records.servers if server.proxied]
    archivers = _archivers(records)
    # A metric's own label `database` is not to be renamed for a label of the target.
    as_server = [
        {"source_labels": [NAME], "regex": name, "target_label": "job", "replacement": server}
        for name, server in archivers.items()
    ]
    jobs = [
        pods("services", services) | {"metric_relabel_configs": [_LIBRARYS_OWN]},
        pods("archivers", [(name, _HTTP) for name in archivers], relabel=as_server)
        | {"metric_relabel_configs": [_LIBRARYS_OWN]},
        pods("proxies", proxies, keep=exporters.names("ProxySQL")),
    ]
    there = (services, archivers, proxies)
    return [job for job, wanted in zip(jobs, there, strict=True) if wanted]


def _archivers(records: Records) -> dict[str, str]:
    """Each one's name to its server's."""
    return {
        operations.archiver(server, database): server.name
        for server in records.servers
        if server.engine in DATABASE_ENGINES
        for database in records.databases(server=server.name)
    }
