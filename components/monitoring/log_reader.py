"""What reads the logs of a node's pods: the OpenTelemetry collector, on every node."""

from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.kit import containers, hashing, objects, paths, pods, volumes
from components.kit.args import Args, Files, Image, Mount, Resources, Text
from components.kit.names import check_name
from components.kit.probes import Probes
from components.monitoring.log_reader_config import HEALTH_PORT, OWN_PORT, STATE, configuration
from components.monitoring.web import go_runtime

_UID: Final = 10016
_COMPONENT: Final = "log-reader"
_FILE: Final = "log-reader.yaml"
_STARTUP_SECONDS: Final = 60
_GRACE_SECONDS: Final = 30


class LogReaderArgs(Args):
    """A pod on every node. Another configuration rolls them, one at a time."""

    namespace: Text
    """One that lends its pods the node's logs (`NamespacesArgs.lent`)."""
    image: Image
    pull_secrets: tuple[str, ...] = ()
    ca: Files
    """Bundle of the internal CA, in the same namespace: the store's certificate leads to it."""
    reads: tuple[str, ...]
    """Names of the namespaces whose pods' logs are read."""
    store: Text
    """Loki's URL, without a path."""
    resources: Resources


class LogReader(pulumi.ComponentResource):
    """A collector on every node, which reads the files in which the node keeps its pods' logs.

    It has no token, writes nothing on the node, and sees that one folder of it. How far it has read
    is gone with its pod: the next one begins anew, and the same line is shown once.

    Makes: ServiceAccount (no token), ConfigMap `<name>-config`, DaemonSet `<name>`.
    """

    def __init__(
        self, name: str, args: LogReaderArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:LogReader", name, None, opts)
        check_name(name)
        child = pulumi.ResourceOptions(parent=self)
        label = objects.labels(name, _COMPONENT)
        pods.service_account(name, objects.metadata(name, args.namespace, label), child)
        mounts = (Mount(files=args.ca, path=paths.CA), _config(name, args, child))
        k8s.apps.v1.DaemonSet(
            name,
            metadata=objects.metadata(
                name, args.namespace, label, objects.awaited(_STARTUP_SECONDS)
            ),
            spec=k8s.apps.v1.DaemonSetSpecArgs(
                revision_history_limit=5,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
                update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(type="RollingUpdate"),
                template=pods.template(
                    label,
                    hashing.config_hash(volumes.versions(mounts)),
                    _pod(name, args, mounts),
                    reads_node_logs=True,
                ),
            ),
            opts=child,
        )
        self.register_outputs({})


def _config(name: str, args: LogReaderArgs, child: pulumi.ResourceOptions) -> Mount:
    text = pulumi.Output.from_input(args.store).apply(
        lambda store: configuration(namespaces=args.reads, store=store)
    )
    made = k8s.core.v1.ConfigMap(
        f"{name}-config",
        metadata=objects.metadata(
            f"{name}-config", args.namespace, objects.labels(name, _COMPONENT)
        ),
        data={_FILE: text},
        opts=child,
    )
    kept = Files(
        kind="ConfigMap",
        name=made.metadata.apply(objects.name_of),
        version=hashing.config_hash({_FILE: text}),
    )
    return Mount(files=kept, path=paths.config(name))


def _pod(name: str, args: LogReaderArgs, mounts: tuple[Mount, ...]) -> k8s.core.v1.PodSpecArgs:
    seen = [
        volumes.node_logs(),
        volumes.scratch("state", STATE, "256Mi"),
        *(volumes.files(mount) for mount in mounts),
    ]
    return pods.pod(
        name,
        containers=[
            containers.container(
                name,
                image=args.image,
                command=("/otelcol-contrib", f"--config={paths.config(name)}/{_FILE}"),
                env=containers.variables(go_runtime(args.resources)),
                ports={"own": OWN_PORT, "health": HEALTH_PORT},
                resources=args.resources,
                watched=Probes(
                    port="health",
                    startup_seconds=_STARTUP_SECONDS,
                    startup_path="/",
                    readiness_path="/",
                    # The same page: it says how the process fares, and asks nobody else.
                    liveness_path="/?liveness",
                ),
                volumes=seen,
            )
        ],
        volumes=seen,
        uid=_UID,
        # Whose the files are; they are closed to all others.
        more_groups=(volumes.NODE_LOGS_GROUP,),
        pull_secrets=args.pull_secrets,
        grace_seconds=_GRACE_SECONDS,
    )
