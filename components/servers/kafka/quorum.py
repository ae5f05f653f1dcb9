"""The quorum is decided once: what keeps a change of its voters from reaching a running cluster.

Kafka's static quorum (`controller.quorum.voters`) is whatever each node's configuration says. A
voter with an empty volume has as much say as any other, so two new voters of three elect a leader
that knows no topics, and the cluster's own metadata is lost (docs/decisions/0017).
"""

from collections.abc import Mapping
from typing import Any, Final

import pulumi

VOTERS: Final = "controller.quorum.voters"


def fixed_voters(name: str) -> pulumi.ResourceHookBinding:
    """Hooks for the ConfigMaps that hold `server.properties`: other voters fail the update.

    They fail the preview too. (In place is how the provider updates ConfigMaps here: hooks see no
    replacement's old inputs.) As the StatefulSets take their files from these ConfigMaps, no node
    is added or restarted.
    """
    hook = pulumi.ResourceHook(
        f"{name}-voters-stay", refuse_other_voters, pulumi.ResourceHookOptions(on_dry_run=True)
    )
    return pulumi.ResourceHookBinding(before_update=[hook])


def refuse_other_voters(args: pulumi.ResourceHookArgs) -> None:
    """Raises ValueError when an update of a ConfigMap would change the voters."""
    before, after = _voters(args.old_inputs), _voters(args.new_inputs)
    if before and after and set(before) != set(after):
        raise ValueError(
            f"the quorum of {args.name.removesuffix('-config')} would change from "
            f"{len(before)} voters ({', '.join(before)}) to {len(after)} ({', '.join(after)}): new "
            "ones could elect a leader that knows no topics. Nothing was changed. Set "
            "millrace:kafka.controllers (or, when it is 0, brokers) back; another quorum takes a "
            "new cluster, as docs/decisions/0017 says"
        )


def _voters(inputs: Mapping[str, Any] | None) -> list[str]:
    """`0@kafka-0.…:9093` of every voter in a ConfigMap's `server.properties`."""
    data: Mapping[str, str] = (inputs or {}).get("data") or {}
    for line in data.get("server.properties", "").splitlines():
        key, _, value = line.partition("=")
        if key == VOTERS:
            return value.split(",")
    return []
