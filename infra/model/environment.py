"""What the machine tells the program: a handful of environment variables and nothing else.

They say where things are on this machine (files, registry, cluster), never what the platform is
like: that is the stack file's business.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class VariableError(ValueError):
    """A variable the program was given cannot be used; the message names it and the way out."""


@dataclass(frozen=True)
class Environment:
    """The variables, parsed. Every one is optional until something needs it."""

    images_file: Path | None = None
    """MILLRACE_IMAGES_FILE: JSON table of the images bootstrap built, name to reference."""
    registry: str | None = None
    """MILLRACE_REGISTRY: `host:port` the services image is pushed to and pulled from."""
    cluster_id: str | None = None
    """MILLRACE_CLUSTER_ID: name of the cluster, for stacks that do not name one themselves."""
    render_dir: Path | None = None
    """MILLRACE_RENDER_DIR: write manifests there and touch neither cluster, engine nor registry."""
    port_offset: int = 0
    """MILLRACE_PORT_OFFSET: how far host ports are above the documented ones (second checkout)."""

    standins: bool = False
    """MILLRACE_STANDINS: set by bootstrap's language host, which runs on its own random and TLS
    providers; the official host knows nothing of it."""

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> "Environment":
        """Read the process's environment (or the mapping given).

        Raises:
            VariableError: MILLRACE_PORT_OFFSET is not a number.
        """
        env = os.environ if variables is None else variables

        def path(name: str) -> Path | None:
            return Path(env[name]) if env.get(name) else None

        offset = env.get("MILLRACE_PORT_OFFSET") or "0"
        if not offset.isdecimal():
            raise VariableError(
                f"MILLRACE_PORT_OFFSET is {offset!r}, which is not a number of ports; set it to 0, "
                "100, … or unset it"
            )
        return cls(
            images_file=path("MILLRACE_IMAGES_FILE"),
            registry=env.get("MILLRACE_REGISTRY") or None,
            cluster_id=env.get("MILLRACE_CLUSTER_ID") or None,
            render_dir=path("MILLRACE_RENDER_DIR"),
            port_offset=int(offset),
            standins=bool(env.get("MILLRACE_STANDINS")),
        )
