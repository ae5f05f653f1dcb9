"""A port of this machine that leads into the cluster, of kubectl's choice."""

import select
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from bootstrap.kube import Kube, KubeError

_SECONDS: Final = 10.0


@contextmanager
def forwarded(kube: Kube, namespace: str, target: str, port: int) -> Generator[int]:
    """For as long as the context lasts; `target` is like `pod/kafka-0` or `service/prometheus`.

    Raises:
        KubeError: kubectl found no way there.
    """
    command = kube.command("port-forward", "-n", namespace, target, f":{port}")
    with subprocess.Popen(  # noqa: S603 - our own kubectl
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=kube.environment()
    ) as process:
        try:
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], _SECONDS)
            # "Forwarding from 127.0.0.1:40123 -> 5432"
            said = process.stdout.readline().decode() if readable else ""
            if " -> " not in said:
                raise KubeError(
                    f"no way to {target} port {port} in {namespace}: kubectl port-forward gave none"
                )
            yield int(said.partition(" -> ")[0].rpartition(":")[2])
        finally:
            process.terminate()
