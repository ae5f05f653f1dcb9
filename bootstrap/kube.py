"""The checkout's cluster through its own kubectl: commands, JSON, SQL in the databases' pods."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bootstrap.checkout import Checkout

DATA_NAMESPACE = "data"
POSTGRES = "postgres"
# The password by way of a pipe: no command line and no environment shows it.
_MYSQL = """
password=$(</etc/millrace/secrets/admin/password)
exec mysql --defaults-file=<(printf '[client]\\npassword="%s"\\n' "$password") \\
  --socket=/run/mysqld/mysqld.sock --user=root --batch --quick --skip-column-names "$1"
"""
WAY_OUT = "`make up` brings the platform up"


class KubeError(Exception):
    """The cluster could not be asked or refused; the text says what was asked and why not."""


def psql_args(database: str, server: str = POSTGRES) -> tuple[str, ...]:
    """What to tell kubectl for a psql in that server's pod, which reads a script from stdin."""
    exec_in = ("exec", "-i", "-n", DATA_NAMESPACE, f"{server}-0", "--")
    return (*exec_in, "psql", "-U", "postgres", "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1")


@dataclass(frozen=True)
class Kube:
    """kubectl of one checkout. Nothing of the caller's own kubeconfig is used."""

    checkout: Checkout

    def command(self, *args: str) -> list[str]:
        """The full command line for a kubectl call.

        Raises:
            KubeError: this checkout has no cluster (never made, or taken down).
        """
        kubectl = self.checkout.bin / "kubectl"
        for needed in (kubectl, self.checkout.kubeconfig):
            if not needed.exists():
                raise KubeError(f"this checkout has no cluster ({needed} is missing)")
        return [str(kubectl), "--kubeconfig", str(self.checkout.kubeconfig), *args]

    def environment(self) -> dict[str, str]:
        """What kubectl is given of this process's variables."""
        return {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}

    def run(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run kubectl and give its standard output; ``timeout`` is in seconds.

        Raises:
            KubeError: kubectl failed or took too long; the text ends in what it said.
        """
        command = self.command(*args)
        shown = "kubectl " + " ".join(args)[:160]
        try:
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
                env=self.environment(),
            )
        except subprocess.TimeoutExpired:
            raise KubeError(f"{shown} gave no answer within {timeout:g} s") from None
        if done.returncode != 0:
            raise KubeError(f"{shown} failed: {done.stderr.strip()[-1500:] or done.stdout[-500:]}")
        return done.stdout

    def json(self, *args: str, timeout: float = 60) -> Any:
        """Like ``run`` with ``-o json``, parsed."""
        return json.loads(self.run(*args, "-o", "json", timeout=timeout))

    def items(self, kind: str, namespace: str | None = None) -> list[Any]:
        """All objects of a kind (or kinds, comma-separated) in one namespace or everywhere."""
        where = ["-n", namespace] if namespace else ["--all-namespaces"]
        return self.json("get", kind, *where)["items"]

    def sql(
        self, database: str, statement: str, timeout: float = 60, server: str = POSTGRES
    ) -> Iterator[Any]:
        """Run SQL as the superuser over the pod's local socket; one JSON value for each row.

        The statement's first column must be JSON (``SELECT row_to_json(t) FROM …``): psql prints
        JSON of one row on one line whatever the values hold. Only for reading what the platform
        did, and never for what a client could do through the published ports.

        Raises:
            KubeError: the pod or the server is away, or the statement is wrong.
        """
        output = self.psql(database, statement, timeout=timeout, server=server)
        return (json.loads(line) for line in output.splitlines() if line.strip())

    def psql(self, database: str, script: str, timeout: float = 60, server: str = POSTGRES) -> str:
        """Run a psql script (standard input) in that server's pod; bare, tab-free output."""
        return self.run(*psql_args(database, server), stdin=script, timeout=timeout)

    def mysql(
        self, database: str, script: str, *, server: str, ordinal: int = 0, timeout: float = 60
    ) -> str:
        """Run a script as the administrator over the socket in a MySQL server's pod.

        ``ordinal`` 0 is the source. Gives the rows, a line each with tabs between the columns.

        Raises:
            KubeError: the pod or the server is away, or a statement is wrong.
        """
        pod = ("exec", "-i", "-n", DATA_NAMESPACE, f"{server}-{ordinal}", "--")
        shell = ("bash", "-c", _MYSQL, "mysql", database)
        return self.run(*pod, *shell, stdin=f"{script};", timeout=timeout)
