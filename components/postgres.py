"""One PostgreSQL 17 server."""

import pulumi

from components.args import Args, Files, Image, Quantity, Resources, Storage, Text
from components.pki import CertificateAuthority


class PostgresArgs(Args):
    """A PostgreSQL server. Its object names follow the component's name (`postgres`)."""

    namespace: Text
    namespace_name: str = "data"
    image: Image
    authority: CertificateAuthority
    admin_password: Files
    """Secret with key `password`, in the server's namespace: the superuser's; applied every start."""
    resources: Resources
    storage: Storage
    max_connections: int = 200
    shared_buffers: Quantity = "128Mi"


class Postgres(pulumi.ComponentResource):
    """A PostgreSQL server that speaks TLS and SCRAM only. Roles and databases come from a Job.

    Makes: ConfigMap, Certificate `<name>-tls`, Services `<name>-headless` and `<name>`, StatefulSet.
    """

    host: pulumi.Output[str]
    """`postgres.data.svc`; known once the server is ready."""
    port: pulumi.Output[int]
