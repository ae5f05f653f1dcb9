"""What a load run on the cluster is made of; between two runs nothing of it runs."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import containers, hashing, objects, placement, pods, volumes
from components.kit.args import Args, Image, Resources, Text
from components.kit.names import check_name

WORKERS: Final = "millrace.dev/workers"
"""Annotation: how many workers a run has that does not say."""
ENTRY: Final = "millrace.dev/entry-"
"""Annotation, the entry's name behind it: its URL for users on the cluster."""
COMMAND: Final = ("python", "-m", "loadtests.generator")
MASTER_PORT: Final = 5557


class LoadGeneratorArgs(Args):
    """The load generator's pods, master and workers alike."""

    namespace: Text
    image: Image
    resources: Resources
    workers: int = Field(ge=1)
    entries: Mapping[str, str]
    """Name to URL."""
    node_selector: Mapping[str, str] = {}
    pull_secrets: tuple[str, ...] = ()
    uid: int = pods.LOWEST_UID


class LoadGenerator(pulumi.ComponentResource):
    """The template of the pods that a load run starts, and takes away when it is over.

    Who starts a run adds what is the run's: the plan, the role, the number. No Deployment or Job:
    they would put a new worker in the place of one that died, with users that begin anew, and the
    run would have had another load than it reports.

    Makes: ServiceAccount (no token), PodTemplate `<name>`.
    """

    template_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: LoadGeneratorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:jobs:LoadGenerator", name, None, opts)
        check_name(name)
        child = pulumi.ResourceOptions(parent=self)
        label = objects.labels(name, "load-test")
        pods.service_account(name, objects.metadata(name, args.namespace, label), child)
        said: dict[str, Text] = {
            WORKERS: str(args.workers),
            **{f"{ENTRY}{entry}": where for entry, where in args.entries.items()},
        }
        made = k8s.core.v1.PodTemplate(
            name,
            metadata=objects.metadata(name, args.namespace, label, said),
            template=pods.template(label, hashing.config_hash(said), _pod(name, args)),
            opts=child,
        )
        self.template_name = made.metadata.apply(objects.name_of)
        self.register_outputs({"template_name": self.template_name})


def _pod(name: str, args: LoadGeneratorArgs) -> k8s.core.v1.PodSpecArgs:
    scratch = [volumes.scratch("tmp", "/tmp", "64Mi")]  # noqa: S108 - the root is read-only
    return pods.pod(
        name,
        containers=[
            containers.container(
                name,
                image=args.image,
                command=COMMAND,
                ports={"master": MASTER_PORT},
                resources=args.resources,
                volumes=scratch,
            )
        ],
        volumes=scratch,
        uid=args.uid,
        pull_secrets=args.pull_secrets,
        # Workers on one host share its core and its way to the network.
        spread=placement.spread(name),
        node_selector=args.node_selector,
        restart_policy="Never",
    )
