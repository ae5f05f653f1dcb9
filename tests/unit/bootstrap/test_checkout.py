import json
import stat
from pathlib import Path

import pytest

from bootstrap.checkout import (
    DOCUMENTED_PORTS,
    Checkout,
    cache_folder,
    find_checkout,
    save_context,
    saved_context,
)


def test_two_checkouts_share_no_name_and_one_cache(tmp_path: Path) -> None:
    one = Checkout(tmp_path / "one", tmp_path / "cache")
    two = Checkout(tmp_path / "two", tmp_path / "cache")
    assert one.name("node") != two.name("node")
    assert one.labels != two.labels
    assert one.state != two.state
    assert one.cache == two.cache


def test_an_offset_shifts_every_documented_port(tmp_path: Path) -> None:
    shifted = Checkout(tmp_path, tmp_path, port_offset=100)
    for which, documented in DOCUMENTED_PORTS.items():
        assert shifted.port(which) == documented + 100
    assert shifted.registry.endswith(str(DOCUMENTED_PORTS["registry"] + 100))


def test_state_is_closed_to_other_users(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, tmp_path)
    checkout.make_state()
    assert stat.S_IMODE(checkout.state.stat().st_mode) == 0o700


def test_context_is_merged_and_never_half_written(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, tmp_path)
    checkout.make_state()
    assert saved_context(checkout.state) == {}
    save_context(checkout, stack="airgap")
    save_context(checkout, port_offset=7)
    assert saved_context(checkout.state) == {"stack": "airgap", "port_offset": 7}
    assert [path.name for path in checkout.state.glob("context*")] == ["context.json"]
    assert json.loads((checkout.state / "context.json").read_text())


@pytest.mark.parametrize("text", ["many", "-1", "2001", "1.5"])
def test_a_senseless_port_offset_is_named_with_its_way_out(text: str) -> None:
    with pytest.raises(ValueError, match=r"PORT_OFFSET is .*for example PORT_OFFSET=100"):
        find_checkout({"PORT_OFFSET": text})


def test_the_cache_follows_the_xdg_setting(tmp_path: Path) -> None:
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "millrace"
    assert cache_folder({}) == Path.home() / ".cache" / "millrace"
