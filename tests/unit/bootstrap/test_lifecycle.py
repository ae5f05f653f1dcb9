"""What make up says of a stack that it does not bring up."""

from pathlib import Path

import pytest

from bootstrap.checkout import Checkout
from bootstrap.environment import own_variables
from bootstrap.lifecycle import plan_up
from bootstrap.steps import StepFailed


def test_production_is_refused_with_all_that_it_takes_and_nothing_is_made(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout", tmp_path / "cache")
    with pytest.raises(StepFailed) as refused:
        plan_up(checkout, "prod")
    said = str(refused.value)
    taken = {"KUBECONFIG", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"}
    for variable in taken:
        assert variable in said
    assert taken - {"PULUMI_CONFIG_PASSPHRASE_FILE"} <= set(own_variables(checkout)), "or it fits"
    assert "not the one of make env" in said
    assert "pulumi stack init prod" in said
    assert "uv" in said
    assert not checkout.state.exists()
