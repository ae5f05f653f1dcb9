"""Where what pods write down is kept, and what brings it there."""

from components.monitoring.log_reader import LogReader, LogReaderArgs
from components.monitoring.loki import Loki, LokiArgs
from components.monitoring.loki_config import PORT
from infra.model.objects import COLLECTOR, LOADTEST, LOG_READER, LOGGING, LOKI, MONITORING
from infra.stack.convert import resources, storage
from infra.stack.foundation import INSIDE, Foundation
from infra.stack.protection import data_options


def provide_logs(ground: Foundation) -> None:
    """Loki, and a reader on every node, where the stack keeps logs."""
    settings = ground.settings.logs
    if not settings.enabled:
        return
    secrets = ground.settings.images.pull_secrets
    loki = Loki(
        LOKI,
        LokiArgs(
            pull_secrets=secrets,
            namespace=ground.namespaces.names[MONITORING],
            image=ground.catalogue.reference(LOKI),
            authority=ground.authority,
            resources=resources(settings.loki),
            storage=storage(settings.storage, ground.settings.kubernetes),
            retention_days=settings.retention_days,
        ),
        data_options(ground.parent, protect=ground.settings.protect),
    )
    generator = (LOADTEST,) if ground.settings.loadtest.enabled else ()
    LogReader(
        LOG_READER,
        LogReaderArgs(
            pull_secrets=secrets,
            namespace=ground.namespaces.names[LOGGING],
            # The same program as the collector of traces, and so the same image.
            image=ground.catalogue.reference(COLLECTOR),
            ca=ground.authority.bundles[LOGGING],
            reads=(*INSIDE, *generator),
            store=loki.address.host.apply(lambda host: f"https://{host}:{PORT}"),
            resources=resources(settings.reader),
        ),
        ground.child,
    )
