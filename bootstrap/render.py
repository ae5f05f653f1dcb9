"""All manifests of a stack as files, made without cluster, container engine or registry.

The very program of `pulumi up` runs, with the real Kubernetes provider told to write files. State,
secrets and stack files are throw-away copies, so nothing of the checkout changes. The provider
writes Secrets in plain text: what is rendered has passwords and keys of its own, made for the
rendering and good for nothing else, and is readable by its owner only all the same.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs] - it ships none
import yaml
from rich.console import Console

from bootstrap.checkout import Checkout
from bootstrap.environment import shell_environment
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import KUBERNETES_VERSION

# What a project folder needs besides the stack file: links, so that the program is this checkout's.
_LINKED: Final = ("infra", "uv.lock", "pyproject.toml", ".venv")
# Variables that lead to this checkout's state or cluster.
_DROPPED: Final = (
    "KUBECONFIG",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_STACK",
)


def render(checkout: Checkout, stack: str, console: Console) -> Path:
    """Write the manifests of ``stack`` to ``build/manifests/STACK`` and validate them.

    The folder is replaced only when everything in it is valid; its files have mode 0600.

    Raises:
        StepFailed: there is no such stack, the program failed, or a manifest is not valid for the
            pinned Kubernetes version.
    """
    stack_file = checkout.root / f"Pulumi.{stack}.yaml"
    if not stack_file.exists():
        raise StepFailed(f"STACK={stack}: there is no {stack_file.name}")
    checkout.make_state()
    with tempfile.TemporaryDirectory(prefix="render-", dir=checkout.state) as scratch:
        manifests = Path(scratch) / "manifests"
        _run_program(checkout, stack, Path(scratch), manifests)
        _close(manifests)
        checked = validate(manifests)
        target = checkout.root / "build" / "manifests" / stack
        _replace(target, manifests)
    console.print(
        f"{target.relative_to(checkout.root)}: {checked} manifests, valid for Kubernetes "
        f"{KUBERNETES_VERSION}; their secrets are of this rendering only",
        highlight=False,
    )
    return target


def throw_away_project(
    checkout: Checkout, stack: str, scratch: Path, manifests: Path
) -> tuple[Path, dict[str, str]]:
    """A copy of the project whose state, secrets and stack file are its own.

    Args:
        scratch: an empty folder for all of it.
        manifests: where the program writes its manifests; it meets no cluster.

    Returns:
        The folder to run ``pulumi`` in, and the whole environment to run it with.
    """
    project, state = scratch / "project", scratch / "state"
    for folder in (project, state, manifests):
        folder.mkdir(parents=True, exist_ok=True)
    for name in _LINKED:
        (project / name).symlink_to(checkout.root / name)
    # Copies: making a stack writes the salt of its passphrase into the stack file.
    for name in ("Pulumi.yaml", f"Pulumi.{stack}.yaml"):
        shutil.copyfile(checkout.root / name, project / name)
    kept = {
        name: value for name, value in shell_environment(checkout).items() if name not in _DROPPED
    }
    return project, kept | {
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(32),
        "MILLRACE_RENDER_DIR": str(manifests),
        # Two thirds of an update's work are copies of its state, one before and one after each
        # resource, for whoever is cut off. Nobody goes on with this state: it is saved at the end.
        "PULUMI_SKIP_CHECKPOINTS": "true",
    }


def _run_program(checkout: Checkout, stack: str, scratch: Path, manifests: Path) -> None:
    project, environment = throw_away_project(checkout, stack, scratch, manifests)
    report = Report(f"render {stack}", checkout.logs / f"render-{stack}.log")
    report.log_path.write_text("")
    pulumi = checkout.bin / "pulumi"
    for arguments in (
        ("stack", "init", stack),
        ("up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs"),
    ):
        report.run([pulumi, *arguments, "--non-interactive"], cwd=project, env=environment)


def _close(folder: Path) -> None:
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


def _replace(target: Path, fresh: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(fresh, target)


def documents(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every manifest below a folder, with its file.

    Raises:
        StepFailed: a file is not YAML, or holds something else than Kubernetes objects.
    """
    for path in sorted(folder.rglob("*.yaml")):
        try:
            parsed: list[object] = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        except yaml.YAMLError as error:
            raise StepFailed(f"{path.name} is not YAML: {error}") from None
        for document in parsed:
            if not isinstance(document, dict) or "kind" not in document:
                raise StepFailed(f"{path.name} holds something that is no Kubernetes object")
            yield path, cast(dict[str, Any], document)


def validate(folder: Path) -> int:
    """Check every manifest against the strict schemas of the pinned version; say how many.

    Strict: a field that Kubernetes does not know is an error, as it would be silently dropped.

    Raises:
        StepFailed: one line per manifest that is not valid, or nothing was rendered.
    """
    problems: list[str] = []
    checked = 0
    for path, document in documents(folder):
        checked += 1
        try:
            used = kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.absolute_path) or "(top)"
            # The value itself may be a secret; the schema's own words are not.
            problems.append(f"{path.name}: {place}: breaks the schema's {error.validator!r} rule")
        except kubernetes_validate.SchemaNotFoundError as error:
            problems.append(f"{path.name}: {error.message}")
        else:
            if not KUBERNETES_VERSION.startswith(f"{used}."):
                raise StepFailed(
                    f"kubernetes-validate has no schemas for Kubernetes {KUBERNETES_VERSION} and "
                    f"used {used}; raise its version in pyproject.toml"
                )
    if problems:
        raise StepFailed("the rendering is not valid:\n  " + "\n  ".join(problems))
    if not checked:
        raise StepFailed(f"nothing was rendered to {folder}")
    return checked
