import stat
from pathlib import Path

from bootstrap.checkout import Checkout, save_context
from bootstrap.environment import make_passphrase, own_variables, shell_environment


def checkout_in(folder: Path) -> Checkout:
    checkout = Checkout(folder, folder / "cache")
    checkout.make_state()
    return checkout


def test_the_passphrase_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    checkout = checkout_in(tmp_path)
    make_passphrase(checkout)
    first = checkout.passphrase_file.read_text()
    make_passphrase(checkout)
    assert checkout.passphrase_file.read_text() == first
    assert len(first) >= 32
    assert stat.S_IMODE(checkout.passphrase_file.stat().st_mode) == 0o600


def test_the_passphrase_itself_is_in_no_variable(tmp_path: Path) -> None:
    checkout = checkout_in(tmp_path)
    make_passphrase(checkout)
    secret = checkout.passphrase_file.read_text()
    assert all(secret not in value for value in own_variables(checkout, {}).values())


def test_our_tools_come_before_those_of_the_machine(tmp_path: Path) -> None:
    path = own_variables(checkout_in(tmp_path), {"PATH": "/usr/bin:/bin"})["PATH"].split(":")
    assert path[0].endswith(".millrace/bin")
    assert path[-2:] == ["/usr/bin", "/bin"]


def test_a_callers_passphrase_does_not_shadow_the_file(tmp_path: Path) -> None:
    given = {"PULUMI_CONFIG_PASSPHRASE": "theirs", "LANG": "C"}
    environment = shell_environment(checkout_in(tmp_path), given)
    assert "PULUMI_CONFIG_PASSPHRASE" not in environment
    assert environment["LANG"] == "C"


def test_plain_pulumi_acts_on_the_stack_last_brought_up(tmp_path: Path) -> None:
    checkout = checkout_in(tmp_path)
    assert "PULUMI_STACK" not in own_variables(checkout, {})
    save_context(checkout, stack="airgap")
    assert own_variables(checkout, {})["PULUMI_STACK"] == "airgap"
