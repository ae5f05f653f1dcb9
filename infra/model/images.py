"""The names of the images that a stack is made of."""

from typing import Final, Literal, get_args

OwnImageName = Literal["services", "loadtests", "backup-postgres", "backup-mysql", "kafka-metrics"]
"""Made of this repository's code, so there is no official image of them."""
OWN_IMAGES: Final[tuple[OwnImageName, ...]] = get_args(OwnImageName)
IMAGE_NAMES: Final = (
    *("postgres", "mysql", "kafka", "redis", "proxysql"),
    *("prometheus", "alertmanager", "grafana"),
    *("postgres-exporter", "mysqld-exporter", "redis-exporter"),
    *("collector", "jaeger", "loki"),
    *("python-build", "python-runtime", "java-build"),
    *OWN_IMAGES,
)
"""Every name a component or a build asks for."""
