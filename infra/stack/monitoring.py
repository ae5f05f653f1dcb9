"""What watches the platform: Prometheus, Alertmanager, and Grafana where there is an image."""

from collections.abc import Iterable
from typing import Any

import pulumi

from components.kit import paths
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.grafana import DASHBOARDS, Grafana, GrafanaArgs
from components.monitoring.jaeger import QUERY_PORT
from components.monitoring.loki_config import PORT as LOKI_PORT
from components.monitoring.prometheus import PORT, RULES, Prometheus, PrometheusArgs
from components.security.secrets import Password, PasswordArgs
from infra.model.environment import Environment
from infra.model.objects import (
    ALERTMANAGER,
    GRAFANA,
    GRAFANA_ADMIN,
    JAEGER,
    LOGGING,
    LOKI,
    MONITORING,
    PROMETHEUS,
)
from infra.monitoring import grafana, routing, rules
from infra.monitoring.boards.needs import met
from infra.monitoring.scraping.collector import of_collector
from infra.monitoring.scraping.configuration import configuration
from infra.monitoring.scraping.logs import of_logs
from infra.monitoring.scraping.servers import of_servers
from infra.stack.backup_places import given
from infra.stack.convert import resources, storage
from infra.stack.foundation import INSIDE, Foundation
from infra.stack.protection import data_options


def provide_monitoring(ground: Foundation, environment: Environment) -> dict[str, str]:
    """Name to URL of what of it is reached from outside the cluster."""
    settings = ground.settings.monitoring
    _alertmanager(ground)
    published = {PROMETHEUS: _url(ground, environment, settings.prometheus.node_port)}
    _prometheus(ground, published[PROMETHEUS])
    if ground.settings.shows_boards:
        published[GRAFANA] = _url(ground, environment, settings.grafana.node_port)
        _grafana(ground, published[GRAFANA])
    else:
        pulumi.log.info(
            "no image of Grafana is given, so `make dashboard` is what shows the dashboards; give "
            "one in images.overrides.grafana to have both"
        )
    return {name: url for name, url in published.items() if url is not None}


def _jobs(ground: Foundation) -> Iterable[dict[str, Any]]:
    """Scraped beside services, nodes and what is in this module."""
    return (
        *of_servers(ground.records, ground.settings),
        *of_collector(ground.settings),
        *of_logs(ground.settings),
    )


def _prometheus(ground: Foundation, url: str | None) -> None:
    settings = ground.settings.monitoring.prometheus
    readers = (LOGGING,) if ground.settings.logs.enabled else ()
    Prometheus(
        PROMETHEUS,
        PrometheusArgs(
            **_common(ground, PROMETHEUS),
            ca=ground.authority.bundles[MONITORING],
            configuration=configuration(
                ground.records, ground.settings, rule_files=RULES, more=_jobs(ground)
            ),
            rules=rules.rule_files(ground.records, runbooks=ground.settings.monitoring.runbooks),
            watches={short: ground.namespaces.names[short] for short in (*INSIDE, *readers)},
            resources=resources(settings.resources),
            storage=storage(settings.storage, ground.settings.kubernetes),
            retention_days=settings.retention_days,
            url=url,
            host=ground.settings.entry.host,
            node_port=settings.node_port,
        ),
        data_options(ground.parent, protect=ground.settings.protect),
    )


def _alertmanager(ground: Foundation) -> None:
    settings = ground.settings.monitoring
    Alertmanager(
        ALERTMANAGER,
        AlertmanagerArgs(
            **_common(ground, ALERTMANAGER),
            configuration=routing.configuration(settings, ground.records),
            receivers={name: given(secret) for name, secret in settings.secrets()},
            resources=resources(settings.alertmanager.resources),
            storage=storage(settings.alertmanager.storage, ground.settings.kubernetes),
        ),
        data_options(ground.parent, protect=ground.settings.protect),
    )


def _grafana(ground: Foundation, url: str | None) -> None:
    settings, logs = ground.settings.monitoring.grafana, ground.settings.logs.enabled
    traces = ground.settings.tracing.store is None
    administrator = Password(
        GRAFANA_ADMIN,
        PasswordArgs(
            secret_name=GRAFANA_ADMIN,
            namespaces={MONITORING: ground.namespaces.names[MONITORING]},
            # It is read at every start, so another one needs no more than a new pod.
            generation=ground.settings.rotation.of(GRAFANA_ADMIN).generation,
        ),
        ground.child,
    )
    Grafana(
        GRAFANA,
        GrafanaArgs(
            **_common(ground, GRAFANA),
            ca=ground.authority.bundles[MONITORING],
            provisioning=grafana.files(
                ground.records,
                has=met(ground.settings, ground.records),
                prometheus=f"https://{PROMETHEUS}.{MONITORING}.svc:{PORT}",
                loki=f"https://{LOKI}.{MONITORING}.svc:{LOKI_PORT}" if logs else None,
                jaeger=f"https://{JAEGER}.{MONITORING}.svc:{QUERY_PORT}" if traces else None,
                ca_file=paths.CA_FILE,
                folder=DASHBOARDS,
            ),
            admin_password=administrator.files[MONITORING],
            resources=resources(settings.resources),
            url=url,
            host=ground.settings.entry.host,
            node_port=settings.node_port,
        ),
        ground.child,
    )


def _common(ground: Foundation, image: str) -> dict[str, Any]:
    """What all of these are told."""
    return {
        "namespace": ground.namespaces.names[MONITORING],
        "image": ground.catalogue.reference(image),
        "pull_secrets": ground.settings.images.pull_secrets,
        "authority": ground.authority,
    }


def _url(ground: Foundation, environment: Environment, node_port: int | None) -> str | None:
    """Of a node port, as this machine reaches it."""
    if node_port is None:
        return None
    return f"https://{ground.settings.entry.host}:{node_port + environment.port_offset}"
