"""The rotation of the CA: in which order what changes, and what the proof at its end can see."""

from typing import Any, cast

import pytest
import trustme
from cryptography import x509

from operations.request import FailedError
from operations.rotate import authority, presented
from operations.rotate.stack import Stack


def pem(ca: trustme.CA) -> str:
    return ca.cert_pem.bytes().decode()


class Platform:
    """A stack, as far as the proof looks at it."""

    def __init__(self, retired: trustme.CA, *trusted: trustme.CA) -> None:
        self.kube = self
        self._retired = pem(retired)
        self._bundle = "".join(map(pem, trusted))

    def output(self, name: str) -> str:
        assert name == "retired_ca_certificate"
        return f"{self._retired}\n"

    def json(self, *arguments: str) -> Any:
        assert "millrace-ca" in arguments
        return {"data": {"ca.crt": self._bundle}}

    def prove(self) -> None:
        authority._prove(cast("Stack", self), "authority")


OLD, NEW = trustme.CA(), trustme.CA()


@pytest.fixture(autouse=True)
def _servers_present_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presented, "any_of", lambda _kube, ca: "kafka-0" if ca == pem(NEW) else "")


def test_each_phase_begins_with_an_update_and_leads_to_the_next() -> None:
    path = "rotation.authority.previous"
    phases = authority.KIND.phases
    stack = cast("Stack", None)
    assert [phase.name for phase in phases] == ["signs", "trusted", "refused", "forgotten"]
    after = [phase.then(stack, "authority") for phase in phases]
    assert after == [{path: "trusted"}, {path: "refused"}, {path: "forgotten"}, {path: None}]
    for phase in phases:
        assert phase.steps[0].do is authority._update, "the file says what is not so yet"


def test_nothing_signs_before_everybody_trusts_it_and_nothing_is_dropped_before_it_is_unused() -> (
    None
):
    waits = {phase.name: phase.steps[-1].do for phase in authority.KIND.phases}
    assert waits["signs"] is authority._wait_for_bundles
    assert waits["trusted"] is authority._wait_for_servers
    assert waits["refused"] is authority._prove


def test_the_old_one_is_dead_when_no_bundle_takes_what_it_issued() -> None:
    Platform(OLD, NEW).prove()


def test_a_bundle_that_still_has_the_old_one_is_noticed() -> None:
    with pytest.raises(FailedError, match="apps/millrace-ca still trusts the old CA"):
        Platform(OLD, NEW, OLD).prove()


def test_a_server_that_still_presents_the_old_one_is_noticed() -> None:
    with pytest.raises(FailedError, match=r"still presented: .* by kafka-0"):
        Platform(NEW, OLD).prove()


def test_issuers_are_told_apart_by_their_keys() -> None:
    leaf = x509.load_pem_x509_certificate(OLD.issue_cert("localhost").cert_chain_pems[0].bytes())
    old, new = (x509.load_pem_x509_certificate(ca.cert_pem.bytes()) for ca in (OLD, NEW))
    assert authority.issued(leaf, old)
    assert not authority.issued(leaf, new)
