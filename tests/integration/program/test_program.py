"""The program through the real CLI and the real Kubernetes provider, without any cluster."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.checkout import Checkout, find_checkout
from bootstrap.render import documents, throw_away_project, validate
from infra.model.records import RECORDS

pytestmark = pytest.mark.timeout(900)  # a command may take 240 s, and there are several

TOOLS = ("pulumi", "pulumi-language-python")


class Project:
    """A throw-away copy of the project with one stack."""

    def __init__(self, checkout: Checkout, stack: str, folder: Path) -> None:
        self.stack = stack
        self.manifests = folder / "manifests"
        self._pulumi = str(checkout.bin / "pulumi")
        self.root, self._environment = throw_away_project(checkout, stack, folder, self.manifests)
        self.pack = checkout.root / "policies" / "crossguard"
        self.run("stack", "init", stack)

    @property
    def stack_file(self) -> Path:
        return self.root / f"Pulumi.{self.stack}.yaml"

    def run(self, *arguments: str, expect: int = 0) -> str:
        done = subprocess.run(
            [self._pulumi, *arguments, "--non-interactive"],
            cwd=self.root,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == (expect == 0), said
        return said

    def preview(self, *arguments: str, expect: int = 0) -> str:
        return self.run("preview", "--stack", self.stack, *arguments, expect=expect)

    def up(self, expect: int = 0) -> str:
        return self.run("up", "--stack", self.stack, "--yes", "--skip-preview", expect=expect)

    def meet_a_cluster(self) -> None:
        """From here on nothing is rendered: the program would go for a cluster."""
        del self._environment["MILLRACE_RENDER_DIR"]


@pytest.fixture(scope="module")
def checkout() -> Checkout:
    found = find_checkout()
    missing = [tool for tool in TOOLS if not (found.bin / tool).exists()]
    if missing:
        pytest.fail(f"{', '.join(missing)} not built yet: run make tools")
    return found


@pytest.fixture
def project(checkout: Checkout, tmp_path: Path) -> Callable[[str], Project]:
    """A project of the test's own, with nothing in its state."""
    return lambda stack: Project(checkout, stack, tmp_path / stack)


@pytest.fixture(scope="module")
def made_once(
    checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Project]:
    """A project that was brought up, for whoever needs one: an update takes most of a minute.

    Who changes it leaves state and stack file agreeing with each other.
    """
    made: dict[str, Project] = {}

    def give(stack: str) -> Project:
        if stack not in made:
            new = Project(checkout, stack, tmp_path_factory.mktemp(stack) / stack)
            new.up()
            made[stack] = new
        return made[stack]

    return give


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stack_renders_validly_passes_the_policy_pack_and_a_second_run_changes_nothing(
    made_once: Callable[[str], Project], stack: str
):
    made = made_once(stack)
    assert validate(made.manifests) > 50
    kinds = {document["kind"] for _, document in documents(made.manifests)}
    assert {"Namespace", "Deployment", "StatefulSet", "Job", "PodDisruptionBudget"} <= kinds
    # One preview for both: the pack sees what stays as it is, too (the test below shows it).
    said = made.preview("--expect-no-changes", "--policy-pack", str(made.pack))
    assert "millrace@v0.1.0" in said


def test_the_way_out_for_a_lost_volume_runs_provisioning_and_migrations_again_and_no_more(
    made_once: Callable[[str], Project],
):
    def manifests() -> dict[str, object]:
        found = (document for _, document in documents(made.manifests))
        return {f"{d['kind']} {d['metadata']['name']}": d for d in found}

    made = made_once("dev")
    before = manifests()
    made.run("config", "set", "--path", "millrace:postgres.incarnation", "2")
    made.up()
    after = manifests()
    new = {name.rpartition("-")[0] for name in after.keys() - before.keys()}
    migrations = {f"Job migrate-{name}" for name in RECORDS.databases(server="postgres")}
    assert new == {"Job postgres-provision", *migrations}
    assert all(after[name] == before[name] for name in after.keys() & before.keys())


def test_a_mistyped_key_fails_the_preview_before_anything_is_registered(
    project: Callable[[str], Project],
):
    made = project("dev")
    document = yaml.safe_load(made.stack_file.read_text())
    document["config"]["millrace:kafak"] = {}
    document["config"]["millrace:redis"] = {"maxMemroy": "1Gi"}
    made.stack_file.write_text(yaml.safe_dump(document))
    said = made.preview(expect=1)
    assert "Pulumi.dev.yaml has 2 problems; nothing was touched" in said
    assert "millrace:kafak: there is no such key; did you mean millrace:kafka?" in said
    assert "did you mean millrace:redis.maxMemory?" in said
    assert "Traceback" not in said
    assert "Namespace" not in said


def test_a_protected_stack_is_rendered_on_stand_ins_but_never_made(
    project: Callable[[str], Project],
):
    made = project("dev")
    document = yaml.safe_load(made.stack_file.read_text())
    document["config"]["millrace:protect"] = True
    document["config"]["millrace:kubernetes"] = {"context": "kept", "volumeRetention": "Retain"}
    document["config"]["millrace:monitoring"] = {
        "receivers": {"hook": {"webhook": {"secret": "hook"}}},
        "pages": ["hook"],
    }
    made.stack_file.write_text(yaml.safe_dump(document))
    made.up()
    made.meet_a_cluster()
    said = made.up(expect=1)
    assert "millrace:protect is true, but this is Millrace's stand-in" in said
    assert "Traceback" not in said


def test_a_missing_key_fails_the_preview_naming_it(project: Callable[[str], Project]):
    made = project("dev")
    document = yaml.safe_load(made.stack_file.read_text())
    del document["config"]["millrace:kafka"]
    made.stack_file.write_text(yaml.safe_dump(document))
    assert "kafka" in made.preview(expect=1)


@pytest.mark.parametrize("there", [False, True])
def test_the_policy_pack_stops_a_preview_that_breaks_a_rule(
    project: Callable[[str], Project], there: bool
):
    made = project("dev")
    (made.root / "infra").unlink()
    (made.root / "infra").mkdir()
    (made.root / "infra" / "__main__.py").write_text(
        "import os\n"
        "import pulumi\n"
        "import pulumi_kubernetes as k8s\n"
        "provider = k8s.Provider('k', render_yaml_to_directory=os.environ['MILLRACE_RENDER_DIR'])\n"
        "k8s.core.v1.Pod('bare', metadata={'name': 'bare', 'namespace': 'apps'},\n"
        "    spec={'containers': [{'name': 'c', 'image': 'nginx:latest'}]},\n"
        "    opts=pulumi.ResourceOptions(provider=provider))\n"
    )
    if there:
        made.up()
        made.preview("--expect-no-changes")
    said = made.preview("--policy-pack", str(made.pack), expect=1)
    assert "image-exact" in said
    assert "image nginx:latest means another one tomorrow" in said
    assert "pod-security-restricted" in said


def test_a_changed_quorum_fails_the_preview_and_the_update_before_any_node_changes(
    made_once: Callable[[str], Project],
):
    made = made_once("prod")
    before, as_it_was = _stateful_sets(made), made.stack_file.read_text()
    document = yaml.safe_load(as_it_was)
    document["config"]["millrace:kafka"]["controllers"] = 5
    made.stack_file.write_text(yaml.safe_dump(document))
    for verb in (("preview",), ("up", "--yes", "--skip-preview")):
        said = made.run(*verb, "--stack", made.stack, expect=1)
        assert "would change from 3 voters" in said
        assert "Set millrace:kafka.controllers (or, when it is 0, brokers) back" in said
    made.stack_file.write_text(as_it_was)
    assert _stateful_sets(made) == before


def _stateful_sets(made: Project) -> list[dict[str, Any]]:
    found = [document for _, document in documents(made.manifests)]
    return [document for document in found if document["kind"] == "StatefulSet"]
