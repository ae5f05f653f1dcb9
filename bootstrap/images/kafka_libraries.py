"""The jars of Kafka and its runtime dependencies, from wherever this machine's Maven gets them."""

import hashlib
import shutil
from pathlib import Path

from bootstrap.images.recipes import KAFKA
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import locked


def libraries_folder(cache: Path) -> Path:
    """Where the jars lie in the user's cache; the name changes with the list of them."""
    digest = hashlib.sha256((KAFKA.folder / "pom.xml").read_bytes()).hexdigest()
    return cache / "images" / f"kafka-libraries-{digest[:12]}"


def fetch_libraries(cache: Path, report: Report) -> Path:
    """Copy the jars into the cache, all or nothing; gives the folder.

    Raises:
        StepFailed: Maven is missing, or could not resolve them.
    """
    folder = libraries_folder(cache)
    if folder.exists():
        return folder
    if shutil.which("mvn") is None:
        raise StepFailed(
            "mvn: not found; Kafka's jars are fetched with it, so install Maven and a Java "
            "runtime (apt-get install maven default-jre-headless)"
        )
    with locked(cache / "images" / "kafka-libraries.lock"):
        if folder.exists():
            return folder
        draft = folder.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        report.run(
            [
                *("mvn", "--batch-mode", "--no-transfer-progress"),
                *("--file", KAFKA.folder / "pom.xml", "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", f"-DoutputDirectory={draft}"),
            ]
        )
        draft.rename(folder)
    return folder
