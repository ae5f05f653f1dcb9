"""Namespaces, the internal CA, certificates and passwords."""

import base64
from typing import Any

import pulumi_kubernetes as k8s
import pytest
from pydantic import ValidationError

from components.kit import pods
from components.security.namespaces import Namespaces, NamespacesArgs
from components.security.pki import RENEW_BEFORE_DAYS
from tests.harness import platforms
from tests.harness.recording import record


def decoded(secret: Any, key: str) -> str:
    return base64.b64decode(secret.inputs["data"][key]).decode()


def test_namespaces_enforce_restricted_at_a_pinned_version_and_warn_early() -> None:
    for namespace in platforms.recorded("Namespaces").of("Namespace"):
        labels = namespace.inputs["metadata"]["labels"]
        for mode in ("enforce", "warn", "audit"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "v1.36"


def test_a_namespace_where_nodes_lend_a_folder_says_so_and_the_others_stay_as_they_are() -> None:
    found = record(
        lambda: Namespaces("n", NamespacesArgs(names=("apps", "logging"), lent=("logging",)))
    )
    levels = {
        one.name: one.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for one in found.of("Namespace")
    }
    assert levels == {"apps": "restricted", "logging": "privileged"}
    said = found.one("Namespace", "logging").inputs["metadata"]["annotations"]
    assert said == {pods.READS_NODE_LOGS: "asked for"}


def test_the_default_account_of_each_namespace_mounts_no_token() -> None:
    accounts = platforms.recorded("Namespaces").of("ServiceAccount")
    assert {a.inputs["metadata"]["namespace"] for a in accounts} == {"data", "apps"}
    for account in accounts:
        assert account.inputs["metadata"]["name"] == "default"
        assert account.inputs["automountServiceAccountToken"] is False


def test_the_default_account_is_left_to_its_namespaces_end() -> None:
    recording = platforms.recorded("Namespaces")
    for account in recording.of("ServiceAccount"):
        assert account.retained, "the cluster makes it anew as soon as it is deleted"
    assert not any(namespace.retained for namespace in recording.of("Namespace"))


def test_namespaces_are_handed_on_only_once_they_are_safe_to_use() -> None:
    """A pod made before the account is tamed could still get a token."""

    def program() -> None:
        k8s.core.v1.ConfigMap(
            "tenant", metadata={"name": "tenant", "namespace": platforms.namespaces().names["data"]}
        )

    recording = record(program)
    account = recording.one("ServiceAccount", "data-default")
    assert account.urn in recording.one("ConfigMap", "tenant").dependencies


def test_the_ca_may_sign_and_says_who_it_is() -> None:
    certificate = platforms.recorded("CertificateAuthority").of("SelfSignedCert")[0].inputs
    assert certificate["isCaCertificate"] is True
    assert "cert_signing" in certificate["allowedUses"]
    assert certificate["setSubjectKeyId"] is True


def test_the_ca_outlives_every_leaf_it_signs() -> None:
    recording = platforms.recorded("Certificate")
    ca, leaf = recording.of("SelfSignedCert")[0].inputs, recording.of("LocallySignedCert")[0].inputs
    assert ca["earlyRenewalHours"] > leaf["validityPeriodHours"]


def test_each_namespace_gets_the_ca_bundle_and_never_its_key() -> None:
    bundles = platforms.recorded("CertificateAuthority").of("ConfigMap")
    assert {b.inputs["metadata"]["namespace"] for b in bundles} == {"data", "apps"}
    for bundle in bundles:
        assert list(bundle.inputs["data"]) == ["ca.crt"]
        assert bundle.inputs["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")


def test_a_leaf_secret_has_key_and_certificate_apart_and_in_one_file() -> None:
    secret = platforms.recorded("Certificate").of("Secret")[0]
    assert secret.inputs["type"] == "kubernetes.io/tls"
    key, certificate = decoded(secret, "tls.key"), decoded(secret, "tls.crt")
    assert key.startswith("-----BEGIN PRIVATE KEY-----"), "PKCS#8, the only form Kafka reads"
    assert decoded(secret, "keystore.pem") == key + certificate
    assert decoded(secret, "ca.crt") != certificate


@pytest.mark.parametrize(
    ("usages", "uses"),
    [
        (("server",), {"digital_signature", "server_auth"}),
        (("client",), {"digital_signature", "client_auth"}),
        (("server", "client"), {"digital_signature", "server_auth", "client_auth"}),
    ],
)
def test_a_leaf_may_be_used_for_what_was_asked_only(usages: Any, uses: set[str]) -> None:
    recording = record(lambda: platforms.certificate(usages=usages))
    signed = recording.of("LocallySignedCert")[0].inputs
    assert set(signed["allowedUses"]) == uses
    assert not signed.get("isCaCertificate")


def test_another_certificate_is_another_version() -> None:
    """So the pods that mount it roll."""
    versions = {
        component.outputs["files"]["version"]
        for days in (100, 200)
        for component in record(lambda d=days: platforms.certificate(validity_days=d)).components()
        if component.kind == "Certificate" and component.outputs
    }
    assert len(versions) == 2


def test_a_password_is_the_same_in_every_namespace_that_reads_it() -> None:
    recording = platforms.recorded("Password")
    assert {decoded(s, "password") for s in recording.of("Secret")} == {
        recording.components()[0].outputs["value"]  # type: ignore[index]
    }
    assert {s.inputs["metadata"]["namespace"] for s in recording.of("Secret")} == {"data", "apps"}


def test_a_password_needs_no_quoting() -> None:
    assert platforms.recorded("Password").of("RandomPassword")[0].inputs["special"] is False


def test_a_password_of_the_first_generation_is_what_it_was_before_there_were_several() -> None:
    recording = platforms.recorded("Password")
    (made,) = recording.of("RandomPassword")
    assert (made.name, made.inputs["keepers"]) == ("postgres-restdb", {"rotation": "1"})
    assert {s.name: set(s.inputs["data"]) for s in recording.of("Secret")} == {
        "postgres-restdb-data": {"password"},
        "postgres-restdb-apps": {"password"},
    }


def test_the_next_generation_is_another_password_of_the_same_line() -> None:
    (made,) = record(lambda: platforms.password(generation=2)).of("RandomPassword")
    assert (made.name, made.inputs["keepers"]) == ("postgres-restdb-2", {"rotation": "1"})


def test_a_previous_password_that_is_held_keeps_its_object_and_lies_beside_the_new_one() -> None:
    recording = record(lambda: platforms.password(generation=2, holds_previous=True))
    assert {made.name for made in recording.of("RandomPassword")} == {
        "postgres-restdb-2",
        "postgres-restdb",
    }
    held = recording.components()[0].outputs["held"]  # type: ignore[index]
    for secret in recording.of("Secret"):
        assert [decoded(secret, "password"), decoded(secret, "previous")] == held


def test_what_is_handed_out_to_clients_has_no_previous_password_and_waits_for_the_server() -> None:
    def program() -> None:
        made = platforms.password(
            generation=2, holds_previous=True, namespaces={"data": "data"}, beside={"user": "b"}
        )
        made.hand_out("apps", "apps", platforms.job())

    recording = record(program)
    secret = recording.one("Secret", "postgres-restdb-apps")
    assert set(secret.inputs["data"]) == {"password", "user"}
    assert decoded(secret, "user") == "b"
    (job,) = (made for made in recording.of("Job") if made.custom)
    assert job.urn in secret.dependencies


def test_the_first_generation_has_none_before_it() -> None:
    with pytest.raises(ValidationError, match="raise generation"):
        platforms.password(holds_previous=True)


def test_another_password_has_another_version_which_does_not_give_it_away() -> None:
    outputs = [
        record(lambda c=changes: platforms.password(**c)).components()[0]
        for changes in ({}, {"generation": 2}, {"generation": 2, "holds_previous": True})
    ]
    versions = [o.outputs["files"]["data"]["version"] for o in outputs]  # type: ignore[index]
    assert len(set(versions)) == 3
    for output, version in zip(outputs, versions, strict=True):
        assert version not in output.outputs["value"]  # type: ignore[index]
        assert not any("files" in path for path in output.secret_outputs)
        assert {"value", "held"} <= {path.split("[")[0] for path in output.secret_outputs}


def test_whatever_holds_a_certificate_says_when_an_update_renews_it():
    recording = record(lambda: platforms.certificate(renew_before_days=30))
    secret = recording.one("Secret", "server-tls").inputs["metadata"]
    assert secret["annotations"] == {RENEW_BEFORE_DAYS: "30"}
    bundles = recording.of("ConfigMap")
    assert bundles
    for bundle in bundles:
        assert bundle.inputs["metadata"]["annotations"] == {RENEW_BEFORE_DAYS: "400"}
