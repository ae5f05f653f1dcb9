import pytest

from bootstrap.cluster.choose import decide
from bootstrap.steps import StepFailed

NO_PRIVILEGE = "privileged containers cannot start here"


def test_dev_is_chosen_where_nothing_speaks_against_it() -> None:
    choice = decide("", reasons=[], registry_reachable=True, running=None)

    assert (choice.environment, choice.automatic) == ("dev", True)


def test_airgap_is_chosen_where_dev_cannot_be_and_says_why() -> None:
    choice = decide("", reasons=[NO_PRIVILEGE], registry_reachable=True, running=None)

    assert (choice.environment, choice.automatic) == ("airgap", True)
    assert NO_PRIVILEGE in choice.why


def test_a_checkout_stays_on_the_cluster_it_has() -> None:
    choice = decide("", reasons=[], registry_reachable=True, running="airgap")

    assert (choice.environment, choice.automatic) == ("airgap", False)
    assert "make down first" in choice.why


def test_what_is_asked_for_goes_before_what_would_be_chosen() -> None:
    choice = decide("airgap", reasons=[], registry_reachable=True, running=None)

    assert (choice.environment, choice.automatic) == ("airgap", False)


def test_dev_asked_for_where_it_cannot_be_fails_with_reason_and_way_out() -> None:
    with pytest.raises(StepFailed, match=rf"{NO_PRIVILEGE}\. STACK=airgap can"):
        decide("dev", reasons=[NO_PRIVILEGE], registry_reachable=False, running=None)


def test_an_unknown_environment_fails_with_those_there_are() -> None:
    with pytest.raises(StepFailed, match="use one of airgap, dev"):
        decide("moon", reasons=[], registry_reachable=True, running=None)
