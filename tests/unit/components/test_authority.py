"""One CA takes over from another: who signs, who is trusted, and who is rolled for it."""

import base64
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from pydantic import ValidationError

from tests.harness import platforms
from tests.harness.recording import Recording, record


def taking_over(
    previous: str | None, build: Callable[[], Any] = platforms.certificate
) -> Recording:
    """What is built on a CA of the second generation."""
    authority = partial(platforms.authority, generation=2, previous=previous)

    def program() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(platforms, "authority", authority)
            build()

    return record(program)


def outputs(recording: Recording) -> dict[str, Any]:
    (component,) = (one for one in recording.components() if one.kind == "CertificateAuthority")
    assert component.outputs
    return component.outputs


@cache
def both() -> tuple[str, str]:
    """The old one and the new one: a certificate's text follows from its arguments."""
    old, new = (
        outputs(taking_over(previous))["certificate_pem"] for previous in ("signs", "trusted")
    )
    assert old != new
    return old, new


def bundle(recording: Recording) -> str:
    (text,) = {made.inputs["data"]["ca.crt"] for made in recording.of("ConfigMap")}
    secret = recording.one("Secret", "server-tls").inputs["data"]["ca.crt"]
    assert base64.b64decode(secret).decode() == text, "a server has another bundle than its clients"
    return text


def signer(recording: Recording) -> str:
    (leaf,) = recording.of("LocallySignedCert")
    return leaf.inputs["caCertPem"]


def test_a_ca_that_never_changed_goes_by_the_names_it_always_had() -> None:
    made = platforms.recorded("CertificateAuthority")
    assert {one.name for one in (*made.of("PrivateKey"), *made.of("SelfSignedCert"))} == {
        "internal-ca",
        "internal-ca-key",
    }


def test_the_first_generation_is_left_alone_while_the_second_takes_over() -> None:
    before, after = platforms.recorded("CertificateAuthority"), taking_over("signs")
    (old,), old_later = before.of("SelfSignedCert"), after.one("SelfSignedCert", "internal-ca")
    assert old.inputs == old_later.inputs
    new = after.one("SelfSignedCert", "internal-ca-2")
    assert new.inputs["subject"] != old.inputs["subject"], "an issuer is looked for by its name"


def test_at_first_both_are_trusted_and_the_old_one_signs() -> None:
    made = taking_over("signs")
    old, new = both()
    assert bundle(made) == old + new
    assert signer(made) == old


def test_then_the_new_one_signs_and_no_bundle_changes() -> None:
    made = taking_over("trusted")
    old, new = both()
    assert bundle(made) == old + new
    assert signer(made) == new


def test_then_the_old_one_is_in_no_bundle_but_known_so_that_it_can_be_shown() -> None:
    made = taking_over("refused")
    old, new = both()
    assert bundle(made) == signer(made) == new
    assert outputs(made)["retired_pem"] == old


def test_in_the_end_it_is_gone_with_its_key() -> None:
    made = taking_over(None)
    assert {one.name for one in made.of("SelfSignedCert")} == {"internal-ca-2"}
    assert outputs(made)["retired_pem"] == ""
    assert "internal-ca-key" not in {one.name for one in made.of("PrivateKey")}


def test_the_first_has_nobody_to_take_over_from() -> None:
    with pytest.raises(ValidationError, match="previous is signs, but generation is 1"):
        record(lambda: platforms.authority(previous="signs"))


def _config_hash(recording: Recording) -> str:
    template = recording.of("StatefulSet")[0].inputs["spec"]["template"]
    return template["metadata"]["annotations"]["millrace.dev/config-hash"]


@pytest.mark.parametrize(
    ("server", "rolled"),
    [
        (platforms.postgres, False),
        (platforms.mysql, False),
        (platforms.redis, False),
        (platforms.kafka, True),
    ],
)
def test_only_kafka_is_rolled_for_another_certificate(
    server: Callable[..., Any], rolled: bool
) -> None:
    hashes = {_config_hash(taking_over(previous, server)) for previous in ("signs", "trusted")}
    assert len(hashes) == (2 if rolled else 1)
