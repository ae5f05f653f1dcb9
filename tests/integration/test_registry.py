"""The checkout's registry, and the one that a k3d cluster of the same checkout brings."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.checkout import DOCUMENTED_PORTS, Checkout, find_checkout
from bootstrap.engine import connect
from bootstrap.network import running_of_others
from bootstrap.registry import container_name, ensure_registry, remove_registry
from bootstrap.steps import Report
from tests.integration.ports import free_port


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout of its own, with the images of the real one and a free port."""
    offset = free_port() - DOCUMENTED_PORTS["registry"]
    made = replace(find_checkout(), root=tmp_path, port_offset=offset)
    made.make_state()
    yield made
    remove_registry(made, data=True)


def ensure(checkout: Checkout) -> str:
    """Have the registry; the id of the container that is it."""
    ensure_registry(checkout, Report("registry", checkout.logs / "registry.log"))
    with closing(connect()) as engine:
        return str(engine.containers.get(container_name(checkout)).id)


def replace_by_k3ds(checkout: Checkout) -> str:
    """What creating a cluster does: another image and k3d's labels under the same name."""
    with closing(connect()) as engine:
        ours = engine.containers.get(container_name(checkout))
        other = ours.commit(conf={"Labels": {"k3d.role": "registry"}})
        ours.remove(force=True)
        containers = engine.containers
        port = {"5000/tcp": ("127.0.0.1", checkout.port("registry"))}
        made = containers.run(str(other.id), name=container_name(checkout), ports=port, detach=True)
        return str(made.id)


def remove_image(checkout: Checkout) -> None:
    with closing(connect()) as engine:
        container = engine.containers.get(container_name(checkout))
        image = str(container.attrs["Image"])
        container.remove(force=True)
        engine.images.remove(image)


def test_the_registry_of_a_cluster_is_used_and_not_replaced(checkout: Checkout) -> None:
    """`make test` while a k3d cluster is up: pods still get their images afterwards."""
    ensure(checkout)
    k3ds = replace_by_k3ds(checkout)
    try:
        assert ensure(checkout) == k3ds
    finally:
        remove_image(checkout)


def test_ours_is_made_again_once_the_cluster_is_gone(checkout: Checkout) -> None:
    first = ensure(checkout)
    assert ensure(checkout) == first
    remove_registry(checkout)
    assert ensure(checkout) != first


def test_what_another_checkout_runs_can_be_stopped_and_comes_back(checkout: Checkout) -> None:
    """As after a run that was cut off: the engine has started its registry again."""
    ensure(checkout)
    with closing(connect()) as engine:
        theirs = engine.containers.get(container_name(checkout))
        assert theirs in running_of_others(find_checkout(), engine)
        assert theirs not in running_of_others(checkout, engine)
        theirs.stop()
        assert theirs not in running_of_others(find_checkout(), engine)
        ensure(checkout)
        assert engine.containers.get(container_name(checkout)).status == "running"
