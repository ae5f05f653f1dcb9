"""What belongs to one checkout of Millrace: names, folders and host ports.

Two checkouts on one machine must not disturb each other, so everything a checkout
makes carries a short hash of its path. What is expensive and the same for all (compiled
tools, base images) lives in the user's cache instead.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABEL = "dev.millrace.checkout"

# The documented host ports; a second checkout shifts all of them by PORT_OFFSET.
DOCUMENTED_PORTS: Mapping[str, int] = {
    "http": 30080,
    "data": 30081,
    "auth": 30082,
    "grpc": 30051,
    "prometheus": 30090,
    "grafana": 30030,
    "registry": 30500,
    "kubernetes": 30443,
}


@dataclass(frozen=True)
class Checkout:
    """One checkout: ``root`` is the repository's folder, ``port_offset`` shifts its host ports."""

    root: Path
    cache: Path
    port_offset: int = 0

    @property
    def id(self) -> str:
        """Eight hex digits that tell this checkout from every other on the machine."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def state(self) -> Path:
        """The ignored folder that holds all this checkout knows (mode 0700)."""
        return self.root / ".millrace"

    @property
    def bin(self) -> Path:
        """Links to the tools this checkout uses; first on PATH."""
        return self.state / "bin"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def images_file(self) -> Path:
        """JSON: catalogue name to the reference (by digest) of the image built here."""
        return self.state / "images.json"

    @property
    def passphrase_file(self) -> Path:
        return self.state / "passphrase"

    @property
    def registry(self) -> str:
        """``host:port`` under which both this host and the nodes know the registry."""
        return f"localhost:{self.port('registry')}"

    @property
    def labels(self) -> dict[str, str]:
        """Labels that mark a container, volume or network as made by this checkout."""
        return {LABEL: self.id}

    def name(self, part: str) -> str:
        """The name of a container, volume or network of this checkout."""
        return f"millrace-{self.id}-{part}"

    def port(self, which: str) -> int:
        """The host port for one of ``DOCUMENTED_PORTS``, offset applied."""
        return DOCUMENTED_PORTS[which] + self.port_offset

    def make_state(self) -> None:
        """Create the state folders, closed to other users."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.bin, self.logs):
            folder.mkdir(exist_ok=True)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The per-user cache, shared by all checkouts."""
    base = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "millrace"


def saved_context(state: Path) -> dict[str, Any]:
    """What an earlier run decided for this checkout (environment, port offset); {} if nothing."""
    try:
        return json.loads((state / "context.json").read_text())
    except FileNotFoundError:
        return {}


def save_context(checkout: Checkout, **values: Any) -> None:
    """Merge ``values`` into the checkout's context file, atomically."""
    context = saved_context(checkout.state) | values
    draft = checkout.state / "context.json.new"
    draft.write_text(json.dumps(context, indent=2, sort_keys=True) + "\n")
    draft.replace(checkout.state / "context.json")


def find_checkout(environ: Mapping[str, str] = os.environ) -> Checkout:
    """The checkout this code runs from.

    Raises:
        ValueError: PORT_OFFSET is not a whole number from 0 to 2,000.
    """
    root = Path(__file__).resolve().parent.parent
    text = environ.get("PORT_OFFSET") or saved_context(root / ".millrace").get("port_offset", 0)
    try:
        offset = int(text)
    except ValueError:
        offset = -1
    if not 0 <= offset <= 2000:
        raise ValueError(
            f"PORT_OFFSET is {text!r}; it shifts every host port and must be a whole number "
            "from 0 to 2000, for example PORT_OFFSET=100"
        )
    return Checkout(root=root, cache=cache_folder(environ), port_offset=offset)
