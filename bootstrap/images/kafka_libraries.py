"""The jars of Kafka and its runtime dependencies."""

from pathlib import Path

from bootstrap.images.recipes import KAFKA
from bootstrap.jars import fetch_jars, jars_folder
from bootstrap.steps import Report

_NAME = "kafka-libraries"


def libraries_folder(cache: Path) -> Path:
    """Where they lie in the user's cache; the name changes with the list of them."""
    return jars_folder(cache, _NAME, KAFKA.folder / "pom.xml")


def fetch_libraries(cache: Path, report: Report) -> Path:
    """Copy them into the cache; gives the folder. Raises StepFailed, as `fetch_jars` does."""
    return fetch_jars(cache, _NAME, KAFKA.folder / "pom.xml", report)
