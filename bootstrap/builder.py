"""The BuildKit builder with which the official docker-build plugin builds for k3d.

Left alone the plugin makes a builder in a network of its own. There ``localhost`` is the builder
itself, and not this machine, on whose loopback the checkout's registry is published.

Sources: docker/buildx 0.35 (in the plugin 0.0.22): store/store.go and store/nodegroup.go for the
files, driver/docker-container for the option ``network`` and for the names.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from docker import DockerClient
from docker.errors import NotFound

from bootstrap.checkout import Checkout

# The release that the plugin's own client is of.
IMAGE = "moby/buildkit:v0.31.0"
_DEFAULT_ENGINE = "unix:///var/run/docker.sock"


def settings_folder(checkout: Checkout) -> Path:
    """What BUILDX_CONFIG names; it is there once a builder of ours is defined."""
    return checkout.state / "buildx"


def define_builder(checkout: Checkout) -> None:
    """Define the builder that is used unless another is asked for; the plugin starts it."""
    name = checkout.name("builder")
    node = {
        "Name": _node(checkout),
        "Endpoint": os.environ.get("DOCKER_HOST") or _DEFAULT_ENGINE,
        "DriverOpts": {"network": "host", "image": IMAGE},
        "Flags": ["--allow-insecure-entitlement=network.host"],
    }
    builder = {"Name": name, "Driver": "docker-container", "Nodes": [node], "Dynamic": False}
    folder = settings_folder(checkout)
    (folder / "instances").mkdir(parents=True, exist_ok=True)
    (folder / "instances" / name).write_text(json.dumps(builder))
    (folder / "current").write_text(json.dumps({"Key": "", "Name": name, "Global": True}))


def remove_builder(checkout: Checkout, client: DockerClient) -> None:
    """Remove the builder's container with its cache, if the plugin ever started it."""
    name = f"buildx_buildkit_{_node(checkout)}"
    with suppress(NotFound):
        client.containers.get(name).remove(force=True)
    with suppress(NotFound):
        client.volumes.get(f"{name}_state").remove()


def _node(checkout: Checkout) -> str:
    return f"{checkout.name('builder')}0"
