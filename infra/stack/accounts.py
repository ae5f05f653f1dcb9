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
from components.security.secrets import PASSWORD, PREVIOUS, Password, PasswordArgs
from components.workloads.jobs import Job, JobArgs
from infra.model.servers import Server
from infra.stack.foundation import APPS, DATA, Foundation

JOB_SIZE: Final = Resources(
    cpu_request="50m", cpu_limit="1", memory_request="96Mi", memory_limit="256Mi"
)
"""Of provisioning and migration Jobs: they run once, for seconds, and wait for the server."""


def password(
    ground: Foundation, name: str, *namespaces: str, beside: Mapping[str, str] | None = None
) -> Password:
    """A password of its own, of the generation that the stack file says.

    Args:
        namespaces: where it is readable at once. A server learns it by a Job that reads it in one
            of these; to its clients it is handed out after that, by `hand_out`.
        beside: more keys of its Secrets.
    """
    said = ground.settings.rotation.of(name)
    return Password(
        name,
        PasswordArgs(
            secret_name=name,
            namespaces={short: ground.namespaces.names[short] for short in namespaces},
            generation=said.generation,
            holds_previous=said.held,
            beside=beside or {},
        ),
        ground.child,
    )


def hand_out(ground: Foundation, made: Password, provisioned: Job, *, both: bool = False) -> Files:
    """The Secret of the services, which changes only once the server knows what it says; with
    `both`, it has the password before it as well, for who may meet a proxy that knows no other."""
    return made.hand_out(APPS, ground.namespaces.names[APPS], provisioned, both=both)


def credential(ground: Foundation, name: str, what: str) -> dict[str, object]:
    """A password as a provisioning spec names it, its Secret being mounted for `what`."""
    folder, previous = paths.secret(what), ground.settings.rotation.of(name)
    if not previous.held:
        return {"password_file": f"{folder}/{PASSWORD}"}
    return {
        "password_file": f"{folder}/{PASSWORD}",
        "previous": {
            "password_file": f"{folder}/{PREVIOUS}",
            "accepted": previous.previous == "accepted",
        },
    }


def administrator(ground: Foundation, name: str) -> dict[str, object]:
    """The server's, likewise: the Secret of that name is mounted for `admin`."""
    return {f"admin_{key}": value for key, value in credential(ground, name, "admin").items()}


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
