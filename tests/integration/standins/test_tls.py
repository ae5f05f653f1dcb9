"""The TLS stand-in with the SDK's own classes, through the whole life of its resources."""

import subprocess
from pathlib import Path

from tests.integration.standins.project import Project

PROGRAM = """
import pulumi, pulumi_tls as tls
config = pulumi.Config()
root_key = tls.PrivateKey("root-key", algorithm="ECDSA", ecdsa_curve="P256")
root = tls.SelfSignedCert(
    "root", private_key_pem=root_key.private_key_pem, is_ca_certificate=True,
    allowed_uses=["cert_signing", "crl_signing"], validity_period_hours=1000,
    set_subject_key_id=True, subject=tls.SelfSignedCertSubjectArgs(common_name="root"))
key = tls.PrivateKey("key", algorithm="RSA", rsa_bits=2048)
request = tls.CertRequest(
    "request", private_key_pem=key.private_key_pem,
    dns_names=["kafka.data.svc", config.get("name") or "localhost"], ip_addresses=["127.0.0.1"],
    subject=tls.CertRequestSubjectArgs(common_name="kafka", organization="millrace"))
leaf = tls.LocallySignedCert(
    "leaf", ca_cert_pem=root.cert_pem, ca_private_key_pem=root_key.private_key_pem,
    cert_request_pem=request.cert_request_pem, validity_period_hours=100,
    early_renewal_hours=config.get_int("early") or 1,
    allowed_uses=["digital_signature", "key_encipherment", "server_auth"])
pulumi.export("root", root.cert_pem)
pulumi.export("leaf", leaf.cert_pem)
pulumi.export("key", key.private_key_pem)
pulumi.export("due", leaf.ready_for_renewal)
"""


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verify(outputs: dict[str, str], folder: Path, host: str) -> None:
    for name in ("root", "leaf"):
        (folder / f"{name}.pem").write_text(outputs[name])
    root, leaf = folder / "root.pem", folder / "leaf.pem"
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", host,
            "-CAfile", root, leaf)  # fmt: skip


def test_certificates_live_as_with_the_official_provider(project: Project, tmp_path: Path) -> None:
    project.program(PROGRAM)
    assert set(project.steps().values()) == {"create"}

    project.up()
    first, made = project.outputs(), project.resources()
    verify(first, tmp_path, "localhost")
    verify(first, tmp_path, "kafka.data.svc")
    assert "PRIVATE KEY" not in project.exported()
    project.unchanged()

    # Another name: the request is made anew, and with it the certificate; keys stay.
    project.config["name"] = "other"
    project.up()
    second, now = project.outputs(), project.resources()
    verify(second, tmp_path, "other")
    assert {name for name in made if made[name]["id"] != now[name]["id"]} == {"request", "leaf"}

    # A longer renewal window changes in place as long as the end is outside it.
    project.config["early"] = "2"
    assert "~ 1 updated" in project.up()
    assert project.resources()["leaf"]["id"] == now["leaf"]["id"]
    project.must("refresh", "--yes", "--skip-preview")
    project.unchanged()

    # Due: 100 hours of validity, to be renewed 100 hours before the end.
    project.config["early"] = "100"
    project.up()
    third = project.outputs()
    assert third["leaf"] != second["leaf"]
    verify(third, tmp_path, "other")

    project.must("destroy", "--yes", "--skip-preview")
    assert project.resources() == {}
