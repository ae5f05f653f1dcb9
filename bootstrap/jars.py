"""Jars with all they need at run time, from wherever this machine's Maven gets them."""

import hashlib
import shutil
from pathlib import Path

from bootstrap.steps import Report, StepFailed
from bootstrap.tools import locked


def jars_folder(cache: Path, name: str, pom: Path) -> Path:
    """Where those of `pom` lie in the user's cache; the folder's name changes with the list."""
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()
    return cache / "images" / f"{name}-{digest[:12]}"


def fetch_jars(cache: Path, name: str, pom: Path, report: Report) -> Path:
    """Copy the jars into the cache, all or nothing; gives the folder.

    Raises:
        StepFailed: Maven is missing, or could not resolve them.
    """
    folder = jars_folder(cache, name, pom)
    if folder.exists():
        return folder
    if shutil.which("mvn") is None:
        raise StepFailed(
            f"mvn: not found; {name} are fetched with it, so install Maven and a Java "
            "runtime (apt-get install maven default-jre-headless)"
        )
    with locked(cache / "images" / f"{name}.lock"):
        if folder.exists():
            return folder
        draft = folder.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        report.run(
            [
                *("mvn", "--batch-mode", "--no-transfer-progress"),
                *("--file", pom, "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", f"-DoutputDirectory={draft}"),
            ]
        )
        draft.rename(folder)
    return folder
