"""Run-to-completion work the program waits for: migrations and provisioning."""

from collections.abc import Mapping

import pulumi

from components.args import Args, Files, Image, Mount, Resources, Text
from components.connections import Connection


class JobArgs(Args):
    """One run-to-completion container. Times in seconds."""

    namespace: Text
    image: Image
    command: tuple[str, ...]
    resources: Resources
    ca: Files
    component: str = "job"
    spec: Text | None = None
    """JSON mounted at /etc/millrace/spec/spec.json."""
    connections: tuple[Connection, ...] = ()
    env: Mapping[str, Text] = {}
    mounts: tuple[Mount, ...] = ()
    after: Mapping[str, Text] = {}
    """Results of other work this Job builds on, like another Job's `completed`: waited for, and a
    change of any runs this Job again."""
    attempts: int = 5
    deadline_seconds: int = 300
    uid: int = 10001


class Job(pulumi.ComponentResource):
    """A Job whose success the program waits for; any change of what it runs makes a new Job.

    Makes: ServiceAccount (no token), ConfigMap `<name>-spec` (with a spec), Job `<name>-<hash>`.
    """

    completed: pulumi.Output[str]
    """The Job's object name, known only once it has succeeded."""
