"""What ``up``, ``down`` and ``clean`` consist of, as plans of steps."""

import shutil
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bootstrap import program
from bootstrap.checkout import Checkout, save_context, saved_context
from bootstrap.cluster import airgap, k3d
from bootstrap.cluster.choose import choose_environment
from bootstrap.engine import answers, ensure_engine, ensure_image_tools
from bootstrap.images.build import image_steps, remove_images
from bootstrap.network import stop_others
from bootstrap.official import link_uv, official_steps, read_releases
from bootstrap.optional import asked_for
from bootstrap.progress import perform
from bootstrap.registry import ensure_registry, remove_registry
from bootstrap.standins.launchers import plugin_folder, write_launchers, write_plugin_cache
from bootstrap.steps import Report, Step, StepFailed
from bootstrap.tools import (
    AIRGAP_TOOLS,
    K3D,
    KUBERNETES,
    OPTIONAL_TOOLS,
    PROVIDER_KUBERNETES,
    PROVIDER_VERSION,
    PULUMI,
    TEST_TOOLS,
    tool_path,
    tool_steps,
)

PROGRAM_TOOLS = (PULUMI, PROVIDER_KUBERNETES)
POLICIES = ("--policy-pack", "policies/crossguard")

PRODUCTION = """\
STACK=prod is no local cluster, and nothing that make sets up here may touch it. It takes a shell of
its own (not the one of make env), with
  - the official Pulumi CLI, and uv, which brings Python: pulumi install does the rest
  - PULUMI_BACKEND_URL and PULUMI_CONFIG_PASSPHRASE_FILE of its own
  - KUBECONFIG with a context millrace-prod
  - the placeholders in Pulumi.prod.yaml filled in
and then pulumi stack init prod (once), pulumi up --stack prod. Step by step: README, Production"""


@dataclass(frozen=True)
class Plan:
    """How a stack comes up here: on which environment, why, and by which steps.

    ``automatic``: nobody asked for this environment, so another may be tried if it fails.
    """

    stack: str
    environment: str
    why: str
    automatic: bool
    steps: Sequence[Step]


def plan_tools(checkout: Checkout) -> list[Step]:
    """The tools that the Pulumi program needs, whatever the cluster."""
    return [*tool_steps(checkout, PROGRAM_TOOLS), _launchers(checkout)]


def _official_or_built(checkout: Checkout) -> list[Step]:
    """Official CLI and plugins where all are pinned; the same versions built here otherwise."""
    releases = list(read_releases().values())
    if all(release.pinned for release in releases):
        return official_steps(checkout, releases)
    return plan_tools(checkout)


def _launchers(checkout: Checkout) -> Step:
    def write(report: Report) -> None:
        home = checkout.state / "pulumi-home"
        python = Path(sys.executable)
        for path in (
            *write_launchers(checkout.bin, python, checkout.root, ["pulumi-language-python"]),
            *write_plugin_cache(home, python, checkout.root),
        ):
            report.say(f"wrote {path.name}")
        link_uv(checkout)
        # Providers are put where the CLI installs plugins: it warns about each one on PATH.
        folder = plugin_folder(home, "kubernetes", PROVIDER_VERSION)
        folder.mkdir(parents=True, exist_ok=True)
        plugin = folder / PROVIDER_KUBERNETES.binary
        plugin.unlink(missing_ok=True)
        plugin.symlink_to(tool_path(checkout, PROVIDER_KUBERNETES))

    return Step("plugins", write, needs=(f"tools: {PROVIDER_KUBERNETES.name}",))


def plan_images(checkout: Checkout) -> list[Step]:
    """What integration tests need: engine, registry, the servers' images, and tools of theirs."""
    steps = [
        step
        for step in image_steps(checkout, checkout.bin)
        if not any(need.startswith("tools: ") for need in step.needs)
    ]
    engine = engine_step(checkout, builds_images=True)
    return [engine, _registry(checkout), *steps, *tool_steps(checkout, TEST_TOOLS)]


def engine_step(checkout: Checkout, *, builds_images: bool = False) -> Step:
    """The container engine, installed and started where we may."""

    def ensure(report: Report) -> None:
        ensure_engine(checkout, report)
        if builds_images:
            ensure_image_tools(checkout, report)

    return Step("engine", ensure)


def _registry(checkout: Checkout) -> Step:
    return Step(
        "registry", lambda report: ensure_registry(checkout, report), needs=("image: registry",)
    )


def airgap_builds(checkout: Checkout, asked_for: Container[str]) -> list[Step]:
    """What is compiled and which images are made for `airgap`; ``asked_for`` names those of the
    optional ones that the stack has.
    """
    tools = [*AIRGAP_TOOLS, *(tool for tool in OPTIONAL_TOOLS if tool.name in asked_for)]
    return [*tool_steps(checkout, tools), *image_steps(checkout, checkout.bin, asked_for)]


def plan_up(checkout: Checkout, stack: str) -> Plan:
    """Choose the environment and line up what it needs.

    Raises:
        StepFailed: ``stack`` is one that this machine cannot host.
    """
    if stack == "prod":
        raise StepFailed(PRODUCTION)
    checkout.make_state()
    choice = choose_environment(checkout, wanted=stack)
    save_context(checkout, environment=choice.environment, port_offset=checkout.port_offset)
    if choice.environment == "dev":

        def bring_k3d(report: Report) -> None:
            if k3d.cluster_status(checkout) == "absent":
                program.forget_stack(checkout, stack or choice.environment)
            k3d.ensure_cluster(checkout, report)

        steps = [
            engine_step(checkout),
            *_official_or_built(checkout),
            *tool_steps(checkout, (K3D, KUBERNETES)),  # the latter for its kubectl
            Step("cluster", bring_k3d, needs=("engine", "tools: k3d")),
        ]
    else:

        def bring_cluster(report: Report) -> None:
            if not airgap.has_data(checkout):
                program.forget_stack(checkout, stack or choice.environment)
            airgap.ensure_cluster(checkout, report)

        steps = [
            engine_step(checkout, builds_images=True),
            _registry(checkout),
            *airgap_builds(checkout, asked_for(checkout, stack or choice.environment)),
            _launchers(checkout),
            Step("cluster", bring_cluster, needs=("registry", "image: node", "image: pause")),
        ]
    return Plan(
        stack=stack or choice.environment,
        environment=choice.environment,
        why=choice.why,
        automatic=choice.automatic,
        steps=steps,
    )


def run_program(checkout: Checkout, plan: Plan) -> None:
    """``pulumi up`` of the plan's stack."""
    program.select_stack(checkout, plan.stack)
    save_context(checkout, stack=plan.stack)
    program.pulumi(
        checkout, ["up", "--yes", "--skip-preview", "--suppress-progress", "--stack", plan.stack]
    )


def split(reports: Mapping[str, Report]) -> dict[str, float]:
    """Seconds from the first start to the last end of each kind of step; kinds overlap."""
    spent: dict[str, float] = {}
    kinds = {
        "tools": ("modules", "tools"),
        "images": ("image", "registry", "engine"),
        "cluster": ("cluster",),
    }
    for kind, prefixes in kinds.items():
        chosen = [r for name, r in reports.items() if name.split(":")[0] in prefixes]
        starts = [report.started for report in chosen if report.started is not None]
        ends = [report.finished for report in chosen if report.finished is not None]
        if starts and ends:
            spent[kind] = max(ends) - min(starts)
    return spent


def down(checkout: Checkout, console: Console) -> None:
    """Remove cluster and platform, and the stack's state with them."""
    if saved_context(checkout.state):
        # What runs, or lies stopped, can only be removed through the engine that holds it.
        perform(checkout, [engine_step(checkout)])
        k3d.remove_cluster(checkout)
        airgap.remove_cluster(checkout)
    # Images were made here without a cluster, too; for them alone no engine is started.
    if answers():
        remove_registry(checkout)
    for stack in program.LOCAL_STACKS:
        program.forget_stack(checkout, stack)
    checkout.kubeconfig.unlink(missing_ok=True)
    console.print(
        "the platform and its cluster are gone; caches are kept (make clean removes them)"
    )


def alone(checkout: Checkout, console: Console) -> None:
    """Stop what other checkouts run on this machine; nothing of theirs is lost.

    A run that was cut off leaves its containers, and the engine starts them again with itself.
    """
    perform(checkout, [engine_step(checkout)])
    for name in stop_others(checkout):
        console.print(f"stopped {name}", highlight=False)


def clean(checkout: Checkout, console: Console) -> None:
    """``down``, then images and state; the Makefile removes the caches and the venv."""
    if stacks := program.foreign_stacks(checkout):
        raise StepFailed(
            f"{checkout.state} holds the state of {', '.join(stacks)}, which is more than a local "
            "cluster: move it to a backend of its own (pulumi stack export, then import) or "
            "remove it (pulumi destroy, pulumi stack rm) first"
        )
    down(checkout, console)
    program.tidy_stack_files(checkout)
    if answers():
        remove_registry(checkout, data=True)
        for tag in remove_images(checkout):
            console.print(f"image {tag} is kept: a container of another checkout uses it")
    shutil.rmtree(checkout.state, ignore_errors=True)
