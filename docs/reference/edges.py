"""Who may talk to whom, drawn and listed from the records."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from docs.reference.table import table
from infra.model.edges import DNS, GENERATOR, KUBERNETES, OUTSIDE, Edge, End, edges
from infra.model.records import RECORDS, Records
from infra.model.servers import Engine

_SHAPES: Final[dict[Engine, tuple[str, str]]] = {
    "postgres": ("[(", ")]"),
    "mysql": ("[(", ")]"),
    "redis": ("[(", ")]"),
    "kafka": ("[[", "]]"),
}
_NAMED: Final = {
    "any": "every pod",
    "dns": "the cluster's DNS",
    "kubernetes": "the Kubernetes API",
    "nodes": "every node's kubelet",
    "outside": "outside the cluster",
}
_WATCHING: Final = frozenset({"monitoring", "logging"})
_ALL: Final = {"service": "services", "server": "servers", "operation": "archivers"}
"""Kinds of which what watches has the same to do with each."""
_NAMESPACES: Final = {
    "monitoring": ("monitoring",),
    "logging": ("logging",),
    "apps": ("service",),
    "data": ("server", "operation"),
}
_SAID: Final = {"logging": "logging, where the stack keeps logs"}


def diagram(records: Records = RECORDS) -> str:
    """A flowchart of services, servers, Jobs and the way in; what every pod needs is left out, and
    what runs by the clock or by hand."""
    found = [
        edge
        for edge in edges(records)
        if DNS not in (edge.source, edge.target)
        and {"monitoring", "logging"}.isdisjoint((edge.source.kind, edge.target.kind))
        and edge.source.kind != "operation"
    ]
    ends = dict.fromkeys(end for edge in found for end in (edge.source, edge.target))
    jobs = [end for end in ends if end.kind == "job"]
    served = {edge.source: edge.target for edge in found if edge.source in jobs}
    migrates = [job for job in jobs if job.name.startswith("migrate-")]
    lines = [
        "flowchart TB",
        *(f"    {_id(end)}([{_NAMED[end.kind]}])" for end in ends if end in (OUTSIDE, KUBERNETES)),
        '    subgraph apps["namespace apps"]',
        *(f"        {_id(End('service', name))}[{name}]" for name in records.service_names),
        *(f"        {_id(job)}{{{{{job.name}}}}}" for job in migrates),
        "    end",
        '    subgraph data["namespace data"]',
        *(
            f"        {_id(End('server', server.name))}{server.name.join(_SHAPES[server.engine])}"
            for server in records.servers
        ),
        *(f"        {_id(job)}{{{{{job.name}}}}}" for job in jobs if job not in migrates),
        "    end",
        '    subgraph loadtest["namespace loadtest, where the stack has it"]',
        f"        {_id(GENERATOR)}{{{{{GENERATOR.name}}}}}",
        "    end",
    ]
    between = defaultdict[tuple[End, End], list[int]](list)
    for edge in found:
        if edge.source != edge.target:
            between[edge.source, edge.target].append(edge.port)
    dotted = (*served, GENERATOR)
    lines += [
        f"    {_id(source)} {'-.->' if source in dotted else '-->'}|{_ports(ports)}| {_id(target)}"
        for (source, target), ports in between.items()
    ]
    return "\n".join(["```mermaid", *lines, "```"])


def watching(records: Records = RECORDS) -> str:
    """A flowchart of what watches: all services are one box here, and so are servers, and what
    archives."""
    found = defaultdict[tuple[End, End], list[int]](list)
    for edge in edges(records):
        ends = _at_large(edge.source), _at_large(edge.target)
        if not _WATCHING.isdisjoint(end.kind for end in ends) and ends[0] != ends[1]:
            found[ends].append(edge.port)
    ends = dict.fromkeys(end for pair in found for end in pair)
    lines = ["flowchart TB"]
    lines += [f"    {_id(end)}([{_NAMED[end.kind]}])" for end in ends if end.kind in _NAMED]
    for namespace, kinds in _NAMESPACES.items():
        lines.append(f'    subgraph {namespace}["namespace {_SAID.get(namespace, namespace)}"]')
        lines += [
            f"        {_id(end)}[{end.name or _ALL[end.kind]}]" for end in ends if end.kind in kinds
        ]
        lines.append("    end")
    lines += [
        f"    {_id(source)} -->|{_ports(ports)}| {_id(target)}"
        for (source, target), ports in found.items()
    ]
    return "\n".join(["```mermaid", *lines, "```"])


def _at_large(end: End) -> End:
    """The box of the drawing that an end is in."""
    return End(end.kind) if end.kind in _ALL else end


def listing(records: Records = RECORDS) -> str:
    """Every edge as a row, for who reviews what may reach what."""
    return table(
        ("From", "To", "Port", "For"),
        ((_said(e.source), _said(e.target), _port(e), e.reason) for e in edges(records)),
    )


def _port(edge: Edge) -> str:
    return f"{edge.port}/{edge.protocol}"


def _ports(ports: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(ports))))


def _said(end: End) -> str:
    return _NAMED.get(end.kind) or f"{end.kind} `{end.name}`"


def _id(end: End) -> str:
    return f"{end.kind}_{end.name}".replace("-", "_").rstrip("_")
