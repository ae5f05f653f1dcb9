"""Where Prometheus is: at the stack's published port, or behind kubectl where there is none."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from bootstrap.prometheus import Where, published, trusted
from infra.model.objects import MONITORING, PROMETHEUS
from operations import clusters
from operations.clusters import Elsewhere
from operations.forwarding import forwarded
from operations.request import RefusedError

PORT: Final = 9090


@contextmanager
def found(given: str, environ: Mapping[str, str] = os.environ) -> Generator[Where]:
    """For as long as the context lasts.

    Args:
        given: a URL that somebody said, which is then the one; empty: the stack's.
        environ: STACK and what else says which cluster is meant.

    Raises:
        RefusedError: what was said makes no sense.
        KubeError: kubectl found no way there, or nothing there.
    """
    if given:
        if not given.startswith(("http://", "https://")):
            raise RefusedError(
                f"PROMETHEUS={given} is no URL: say for example http://127.0.0.1:9090"
            )
        yield Where(given.rstrip("/"))
        return
    kube = clusters.chosen(environ)
    # Its certificate names localhost as well, for who comes by a port of this machine.
    if isinstance(kube, Elsewhere):
        with forwarded(kube, MONITORING, f"service/{PROMETHEUS}", PORT) as port:
            yield Where(f"https://localhost:{port}", trusted(kube))
    else:
        yield published(kube)
