"""What a server is told, what it is made of, and where it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as k8s

from components.kit.args import Args, Image, Mount, Resources, Storage, Text
from components.kit.probes import Probes
from components.kit.volumes import Volume
from components.security.pki import CertificateAuthority


class ServerArgs(Args):
    """What every server's arguments have in common. Object names follow the component's name."""

    namespace: Text
    namespace_name: str = "data"
    """The namespace's name as plain text: certificates need DNS names at once."""
    image: Image
    pull_secrets: tuple[str, ...] = ()
    """Secrets of the namespace that open the image's registry."""
    authority: CertificateAuthority


class Address(Args):
    """Where a server answers."""

    host: pulumi.Output[str]
    """`postgres.data.svc`; known once the server is ready."""
    port: pulumi.Output[int]

    def outputs(self) -> dict[str, pulumi.Output[str] | pulumi.Output[int]]:
        """What a component registers for this attribute."""
        return {"host": self.host, "port": self.port}

    def once(self, text: str) -> pulumi.Output[str]:
        """The text, known once the server is ready."""
        return self.host.apply(lambda _: text)


@dataclass(frozen=True)
class Server:
    """Identical replicas of one server. Times in seconds."""

    component: str
    """Label app.kubernetes.io/component, and the folder of the configuration."""
    uid: int
    command: Sequence[str]
    ports: Mapping[str, int]
    """Name to number. The first is the one clients use."""
    config: Mapping[str, str]
    """File name to text, mounted at `paths.config(component)`."""
    probes: Probes
    data_path: str
    """The very path the official image declares as a volume: containerd mounts an empty volume
    over any other, and the data would be gone with the container."""
    storage: Storage | None
    """None: the data lives as long as the pod."""
    resources: Resources
    grace_seconds: int
    env: Mapping[str, Text] = field(default_factory=dict[str, Text])
    """Beside POD_NAME."""
    follows_config: bool = False
    """Whether it reads `config` again by itself; it is not rolled for another one then."""
    api_token: bool = False
    """Whether it asks the Kubernetes API, as what its account may do."""
    mounts: Sequence[Mount] = ()
    """Secrets beside the certificate, like passwords. A changed one rolls the replicas."""
    single_files: Mapping[str, str] = field(default_factory=dict[str, str])
    """File of `config` to the path where it is needed, too, like `/etc/passwd`."""
    scratch: Sequence[Volume] = ()
    """Writable directories, for the root is read-only."""
    sidecars: Sequence[k8s.core.v1.ContainerArgs] = ()
    """Exporters and the like, from `containers.container(…, sidecar=True)`."""
    sidecar_mounts: Sequence[Mount] = ()
    """What sidecars read and the server must not. A changed one rolls the replicas, too."""
    replicas: int = 1
    settle_seconds: int = 0
    """How long a restarted replica must be ready before the next one is stopped."""
    one_per_host: bool = False
    """Replicas never share a host, so that losing it loses no majority and no second copy."""
    apart_from: str | None = None
    """Another group of nodes of the same server: no host has one of it and one of these."""

    @property
    def rollout_seconds(self) -> int:
        """How long a rollout may take, as replicas are stopped and started one after the other."""
        each = self.grace_seconds + self.probes.startup_seconds + self.settle_seconds
        return self.replicas * each
