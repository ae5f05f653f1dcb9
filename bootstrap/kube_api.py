"""The Kubernetes API as plain HTTP, by way of kubectl, which knows how to log in."""

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bootstrap.kube import Kube, KubeError


@contextmanager
def kubernetes_api(kube: Kube) -> Generator[httpx.Client]:
    """A client for the API with plain HTTP semantics, for as long as it is open.

    By a socket in a folder of our own: a port of this machine would lend what kubectl may do to
    everybody who is on it.

    Raises:
        KubeError: there is no cluster, or kubectl does not lead to it.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        socket = Path(folder, "api")
        with subprocess.Popen(
            kube.command("proxy", f"--unix-socket={socket}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=kube.environment(),
            start_new_session=True,  # Ctrl-C is not for it: the run's last look goes through it
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()  # "Starting to serve on /…/api"
                if "serve on" not in line:
                    raise KubeError(f"kubectl proxy said {line.strip()!r}")
                way = httpx.HTTPTransport(uds=str(socket))
                with httpx.Client(
                    base_url="http://localhost", transport=way, timeout=15, trust_env=False
                ) as client:
                    yield client
            finally:
                process.terminate()
