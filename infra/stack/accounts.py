"""Accounts on the shared systems: their passwords, and the Jobs that bring them about.

The servers know nothing of the services. What exists in them (roles, databases, topics, users,
ACLs) follows from the records in `infra.model.services`; one Job per server makes it so, and runs
again whenever a record changes.
"""

from collections.abc import Mapping
from typing import Final

import pulumi

from components.kit import paths
from components.kit.args import Files, Mount, Resources
from components.security.secrets import Password, PasswordArgs
from components.workloads.jobs import Job, JobArgs
from infra.model.servers import Server
from infra.stack.foundation import DATA, Foundation

JOB_SIZE: Final = Resources(
    cpu_request="50m", cpu_limit="1", memory_request="96Mi", memory_limit="256Mi"
)
"""Of provisioning and migration Jobs: they run once, for seconds, and wait for the server."""


def password(ground: Foundation, name: str, *namespaces: str) -> Password:
    """A password of its own, readable in the namespaces named."""
    names = {short: ground.namespaces.names[short] for short in namespaces}
    return Password(name, PasswordArgs(secret_name=name, namespaces=names), ground.child)


def provision(
    ground: Foundation,
    server: Server,
    spec: Mapping[str, object],
    secrets: Mapping[str, Files],
    incarnation: int,
) -> Job:
    """The Job that brings the server to what the spec says.

    Args:
        server: its engine is one that `services.provision` knows.
        spec: its JSON document; may hold Outputs.
        secrets: mounted at `paths.secret(key)`.
        incarnation: of the server's data; another one is provisioned again.
    """
    return Job(
        f"{server.name}-provision",
        JobArgs(
            namespace=ground.namespaces.names[DATA],
            image=ground.services_image,
            pull_secrets=ground.settings.images.pull_secrets,
            command=(
                "python",
                "-m",
                "services.provision",
                server.engine,
                "--spec",
                paths.SPEC_FILE,
            ),
            resources=JOB_SIZE,
            ca=ground.authority.bundles[DATA],
            component="provisioning",
            spec=pulumi.Output.json_dumps(spec, sort_keys=True),
            after={"incarnation": str(incarnation)},
            mounts=tuple(Mount(files=f, path=paths.secret(what)) for what, f in secrets.items()),
        ),
        ground.child,
    )
