import datetime as dt
import ipaddress

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from bootstrap.standins import tls
from bootstrap.standins.provider import Provider
from bootstrap.standins.tls_certificates import due
from bootstrap.standins.values import UNKNOWN, secret_names

from .conftest import Client, Properties, Serve


@pytest.fixture
def client(serve: Serve) -> Client:
    return serve(Provider("tls", [kind() for kind in tls.KINDS]))


def key(client: Client, **inputs: object) -> Properties:
    return client.made("PrivateKey", {"algorithm": "ECDSA", "ecdsaCurve": "P256"} | inputs)


def root(client: Client, **inputs: object) -> Properties:
    return client.made(
        "SelfSignedCert",
        {
            "privateKeyPem": key(client)["privateKeyPem"],
            "isCaCertificate": True,
            "allowedUses": ["cert_signing", "crl_signing"],
            "validityPeriodHours": 100,
            "subject": {"commonName": "root", "organization": "Millrace"},
        }
        | inputs,
    )


def request(client: Client, private: str, **inputs: object) -> str:
    given = {
        "privateKeyPem": private,
        "subject": {"commonName": "leaf"},
        "dnsNames": ["a.data.svc"],
    }
    return client.made("CertRequest", given | inputs)["certRequestPem"]


def leaf_inputs(client: Client, ca: Properties, **inputs: object) -> Properties:
    return {
        "caCertPem": ca["certPem"],
        "caPrivateKeyPem": ca["privateKeyPem"],
        "certRequestPem": request(client, key(client)["privateKeyPem"]),
        "allowedUses": ["digital_signature", "key_encipherment", "server_auth"],
        "validityPeriodHours": 10,
    } | inputs


def certificate(state: Properties) -> x509.Certificate:
    return x509.load_pem_x509_certificate(state["certPem"].encode())


@pytest.mark.parametrize(
    ("inputs", "kind", "header"),
    [
        ({"algorithm": "RSA"}, rsa.RSAPrivateKey, "RSA PRIVATE KEY"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P384"}, ec.EllipticCurvePrivateKey, "EC PRIVATE"),
        ({"algorithm": "ED25519"}, ed25519.Ed25519PrivateKey, "BEGIN PRIVATE KEY"),
    ],
)
def test_a_key_is_the_same_in_every_spelling(
    client: Client, inputs: Properties, kind: type, header: str
) -> None:
    state = client.made("PrivateKey", inputs)
    assert header in state["privateKeyPem"]
    loaded = [
        serialization.load_pem_private_key(state["privateKeyPem"].encode(), None),
        serialization.load_pem_private_key(state["privateKeyPemPkcs8"].encode(), None),
        serialization.load_ssh_private_key(state["privateKeyOpenssh"].encode(), None),
    ]
    assert all(isinstance(k, kind) for k in loaded)
    publics = [k.public_key() for k in loaded]  # type: ignore[union-attr]
    publics.append(serialization.load_pem_public_key(state["publicKeyPem"].encode()))
    publics.append(serialization.load_ssh_public_key(state["publicKeyOpenssh"].encode()))
    assert all(public == publics[0] for public in publics)


def test_private_spellings_are_secret_and_public_ones_are_not(client: Client) -> None:
    made = client.create("PrivateKey", {"algorithm": "ED25519"})
    secret = {"privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"}
    assert secret_names(made.properties) == secret


def test_fingerprints_are_those_ssh_keygen_shows(client: Client) -> None:
    state = client.made("PrivateKey", {"algorithm": "ED25519"})
    assert state["publicKeyFingerprintSha256"].startswith("SHA256:")
    assert len(state["publicKeyFingerprintSha256"]) == len("SHA256:") + 43
    assert len(state["publicKeyFingerprintMd5"].split(":")) == 16


def test_p224_is_the_default_curve_and_unknown_to_openssh(client: Client) -> None:
    state = client.made("PrivateKey", {"algorithm": "ECDSA"})
    assert state["ecdsaCurve"] == "P224"
    assert state["privateKeyOpenssh"] == state["publicKeyOpenssh"] == ""


def test_a_leaf_passes_strict_verification_against_its_root(client: Client) -> None:
    ca = root(client, setSubjectKeyId=True, setAuthorityKeyId=True)
    leaf = client.made("LocallySignedCert", leaf_inputs(client, ca))
    verifier = (
        PolicyBuilder()
        .store(Store([certificate(ca)]))
        .build_server_verifier(x509.DNSName("a.data.svc"))
    )
    assert verifier.verify(certificate(leaf), []) == [certificate(leaf), certificate(ca)]


def test_a_leaf_has_the_names_of_its_request_and_the_uses_asked_for(client: Client) -> None:
    ca = root(client)
    asked = request(
        client,
        key(client)["privateKeyPem"],
        dnsNames=["*.kafka-headless.data.svc", "kafka"],
        ipAddresses=["127.0.0.1", "::1"],
        uris=["spiffe://millrace/kafka"],
    )
    made = client.made("LocallySignedCert", leaf_inputs(client, ca, certRequestPem=asked))
    found = certificate(made)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.kafka-headless.data.svc", "kafka"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://millrace/kafka"]
    uses = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert uses.critical
    assert uses.value.digital_signature
    assert uses.value.key_encipherment
    assert not uses.value.key_cert_sign
    extended = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    basic = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert not basic.value.ca
    above = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    root_id = certificate(ca).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert above.key_identifier == root_id.digest


def test_a_root_may_limit_the_length_of_its_chains(client: Client) -> None:
    limited = certificate(root(client, maxPathLength=0))
    basic = limited.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)
    unlimited = certificate(root(client)).extensions.get_extension_for_class(x509.BasicConstraints)
    assert unlimited.value.path_length is None


def test_the_subject_keeps_every_attribute(client: Client) -> None:
    subject = {
        "commonName": "c",
        "country": "DE",
        "locality": "l",
        "organization": "o",
        "organizationalUnit": "u",
        "postalCode": "1",
        "province": "p",
        "serialNumber": "s",
        "streetAddresses": ["x", "y"],
    }
    found = certificate(root(client, subject=subject)).subject
    expected = "C=DE,O=o,OU=u,L=l,ST=p,STREET=x,STREET=y,2.5.4.17=1,CN=c,2.5.4.5=s"
    assert ",".join(a.rfc4514_string() for a in found) == expected


def test_validity_and_identity_are_those_of_the_certificate(client: Client) -> None:
    made = client.create(
        "SelfSignedCert",
        {
            "privateKeyPem": key(client)["privateKeyPem"],
            "allowedUses": [],
            "validityPeriodHours": 48,
        },
    )
    state = {k: v.string_value for k, v in made.properties.fields.items()}
    found = certificate(state)
    assert made.id == str(found.serial_number)
    assert found.not_valid_after_utc - found.not_valid_before_utc == dt.timedelta(hours=48)
    end = dt.datetime.fromisoformat(state["validityEndTime"])
    assert end == found.not_valid_after_utc
    assert "privateKeyPem" in secret_names(made.properties)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [("P256", hashes.SHA256), ("P384", hashes.SHA384), ("P521", hashes.SHA512)],
)
def test_a_signature_is_as_strong_as_its_curve(
    client: Client, curve: str, expected: type[hashes.HashAlgorithm]
) -> None:
    state = root(client, privateKeyPem=key(client, ecdsaCurve=curve)["privateKeyPem"])
    assert isinstance(certificate(state).signature_hash_algorithm, expected)


def test_ed25519_signs_a_certificate_too(client: Client) -> None:
    state = root(client, privateKeyPem=key(client, algorithm="ED25519")["privateKeyPem"])
    assert state["keyAlgorithm"] == "ED25519"
    certificate(state).verify_directly_issued_by(certificate(state))


def test_renewal_is_due_once_the_end_is_nearer_than_the_early_hours() -> None:
    end = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    state = {"validityEndTime": "2027-01-01T00:00:00Z"}
    assert not due(state, 5, end - dt.timedelta(hours=5, seconds=1))
    assert due(state, 5, end - dt.timedelta(hours=5))
    assert not due(state, 0, end - dt.timedelta(seconds=1))
    assert due(state, 0, end)


def test_a_certificate_that_is_due_is_replaced_at_the_next_diff(client: Client) -> None:
    ca = root(client)
    inputs = leaf_inputs(client, ca)
    state = client.made("LocallySignedCert", inputs)
    assert state["readyForRenewal"] is False
    quiet = client.diff("LocallySignedCert", state, inputs, inputs)
    assert quiet.changes == quiet.DIFF_NONE
    past = state | {"validityEndTime": "2020-01-01T00:00:00Z"}
    late = client.diff("LocallySignedCert", past, inputs, inputs)
    assert list(late.replaces) == ["readyForRenewal"]


def test_early_renewal_changes_in_place_and_everything_else_replaces(client: Client) -> None:
    ca = root(client)
    inputs = leaf_inputs(client, ca)
    state = client.made("LocallySignedCert", inputs)
    for name, value, replaces in (
        ("earlyRenewalHours", 5, []),
        ("validityPeriodHours", 11, ["validityPeriodHours"]),
        ("allowedUses", ["client_auth"], ["allowedUses"]),
        ("certRequestPem", UNKNOWN, ["certRequestPem"]),
        ("caCertPem", UNKNOWN, ["caCertPem"]),
    ):
        diff = client.diff("LocallySignedCert", state, inputs, inputs | {name: value})
        assert list(diff.diffs) == [name]
        assert list(diff.replaces) == replaces


@pytest.mark.parametrize(
    ("kind", "inputs", "property_", "words"),
    [
        ("PrivateKey", {"algorithm": "DSA"}, "algorithm", "ECDSA, ED25519, RSA"),
        ("PrivateKey", {"algorithm": "ECDSA", "ecdsaCurve": "X"}, "ecdsaCurve", "P256"),
        ("PrivateKey", {"algorithm": "RSA", "rsaBits": 512}, "rsaBits", "use 2048"),
        ("CertRequest", {"privateKeyPem": "x", "dnsNames": ["ü"]}, "dnsNames", "'ü'"),
        ("CertRequest", {"privateKeyPem": "x", "ipAddresses": ["300.0.0.1"]}, "ipAddresses", "300"),
        ("CertRequest", {"privateKeyPem": "x", "subject": {"cn": "x"}}, "subject.cn", "commonName"),
        (
            "CertRequest",
            {"privateKeyPem": "x", "subject": {"country": "Germany"}},
            "subject",
            "subject.country is 'Germany'",
        ),
        (
            "SelfSignedCert",
            {"privateKeyPem": "x", "validityPeriodHours": 1, "allowedUses": ["sign"]},
            "allowedUses",
            "server_auth",
        ),
        (
            "SelfSignedCert",
            {"privateKeyPem": "x", "validityPeriodHours": -1, "allowedUses": []},
            "validityPeriodHours",
            "negative",
        ),
        (
            "CertRequest",
            {"privateKeyPem": "x", "privateKeyPemWo": "y"},
            "privateKeyPemWo",
            "use privateKeyPem",
        ),
    ],
)
def test_impossible_inputs_are_named_with_the_reason(
    client: Client, kind: str, inputs: Properties, property_: str, words: str
) -> None:
    failures = client.failures(kind, inputs)
    assert list(failures) == [property_]
    assert words in failures[property_]


def test_a_key_of_another_authority_is_refused(client: Client) -> None:
    ca, other = root(client), root(client)
    inputs = leaf_inputs(client, ca, caPrivateKeyPem=other["privateKeyPem"])
    with pytest.raises(grpc.RpcError) as refused:
        client.create("LocallySignedCert", inputs)
    assert "caPrivateKeyPem does not belong to caCertPem" in str(refused.value.details())


def test_text_that_is_no_key_is_refused_without_showing_it(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.create("CertRequest", {"privateKeyPem": "geheim"})
    assert "privateKeyPem holds no usable private key" in str(refused.value.details())
    assert "geheim" not in str(refused.value.details())


def test_a_preview_with_unknown_names_answers_unknown_certificates(client: Client) -> None:
    preview = client.create(
        "CertRequest", {"privateKeyPem": UNKNOWN, "dnsNames": [UNKNOWN]}, preview=True
    )
    assert preview.properties.fields["certRequestPem"].string_value.startswith("04da6b54")
