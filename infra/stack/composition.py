"""The platform: what it is made of, top to bottom, and what it tells its users.

Not named after the platform: Pulumi puts this folder first on the module path, where a
`platform.py` would hide the standard library's.
"""

import pulumi
import pulumi_kubernetes as k8s

from infra.images.catalogue import Catalogue
from infra.model.environment import Environment
from infra.model.records import RECORDS, Records
from infra.model.services import Port, Service
from infra.model.settings import PlatformSettings
from infra.stack.apps import Shared, run_services
from infra.stack.backups import provide_backups
from infra.stack.collector import provide_collector
from infra.stack.exporters import Watched, provide_exporters
from infra.stack.foundation import lay
from infra.stack.kafka import provide_kafka
from infra.stack.loadtest import provide_load_generator
from infra.stack.logs import provide_logs
from infra.stack.migrations import provide_migrations
from infra.stack.monitoring import provide_monitoring
from infra.stack.mysql import provide_mysql
from infra.stack.postgres import provide_postgres
from infra.stack.redis import provide_redis
from infra.stack.urls import url


class Platform(pulumi.ComponentResource):
    """Everything of one stack. Children inherit the Kubernetes provider from here."""

    endpoints: dict[str, str]
    """What is published to its URL: services, and what watches them."""
    namespaces: dict[str, pulumi.Output[str]]
    ca_certificate: pulumi.Output[str]
    """PEM of the internal CA, of two while one takes over from the other; public."""
    retired_ca_certificate: pulumi.Output[str]
    """PEM of the one that nobody trusts any more, until it is forgotten; then empty."""
    topics: list[str]

    def __init__(
        self,
        settings: PlatformSettings,
        environment: Environment,
        catalogue: Catalogue,
        provider: k8s.Provider,
        records: Records = RECORDS,
    ) -> None:
        super().__init__(
            "millrace:platform:Platform",
            "millrace",
            None,
            pulumi.ResourceOptions(providers=[provider]),
        )
        ground = lay(settings, environment, catalogue, records, self)
        watched: list[Watched] = []
        databases = provide_postgres(ground, watched) | provide_mysql(ground, watched)
        shared = Shared(
            databases=databases,
            kafka=provide_kafka(ground, environment),
            redis=provide_redis(ground, watched),
        )
        provide_exporters(ground, watched)
        run_services(ground, environment, shared)
        provide_migrations(ground, databases)
        provide_backups(ground, environment, databases)
        provide_load_generator(ground, environment)
        provide_collector(ground)
        provide_logs(ground)
        watching = provide_monitoring(ground, environment)
        self.endpoints = {
            _endpoint(service, port): url(settings.entry, environment, port.entry, port.protocol)
            for service in records.services
            for port in service.ports
            if port.entry
        } | watching
        self.namespaces = ground.namespaces.names
        self.ca_certificate = ground.authority.bundle_pem
        self.retired_ca_certificate = ground.authority.retired_pem
        self.topics = list(records.topics())
        self.register_outputs(self.outputs())

    def outputs(self) -> dict[str, object]:
        """The stack's outputs, by the names of the attributes."""
        return {
            "endpoints": self.endpoints,
            "namespaces": self.namespaces,
            "ca_certificate": self.ca_certificate,
            "retired_ca_certificate": self.retired_ca_certificate,
            "topics": self.topics,
        }


def _endpoint(service: Service, port: Port) -> str:
    """The service's name; of a port that is not its first with the port's name."""
    return service.name if port is service.ports[0] else f"{service.name}/{port.name}"
