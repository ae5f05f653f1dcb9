"""Which of the images that are made of this repository's code a stack runs."""

from infra.images.own import BACKUPS, KAFKA, LOADTESTS, SERVICES, OwnImage
from infra.model.records import Records
from infra.model.servers import DATABASE_ENGINES
from infra.model.settings import PlatformSettings


def images(settings: PlatformSettings, records: Records) -> tuple[OwnImage, ...]:
    """Of the images made here those that the stack runs."""
    backed_up = {
        server.engine
        for server in records.servers
        if server.engine in DATABASE_ENGINES and settings.backups.of(server.name).enabled
    }
    return (
        SERVICES,
        *((LOADTESTS,) if settings.loadtest.enabled else ()),
        *((KAFKA,) if adds_agent(settings) else ()),
        *(made for engine, made in BACKUPS.items() if engine in backed_up),
    )


def adds_agent(settings: PlatformSettings) -> bool:
    """Whether Kafka's nodes run the official image with an agent added, that it comes without. One
    that was built on this machine has it; one that the stack file names is taken as it is."""
    return settings.images.source == "official" and "kafka" not in settings.images.overrides
