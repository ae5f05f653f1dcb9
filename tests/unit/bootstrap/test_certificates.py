"""make status says how long the platform's certificates last, from what the API server holds."""

import base64
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from rich.console import Console

from bootstrap import certificates, status
from bootstrap.certificates import Certificate
from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from components.security import pki

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def pem(days: float) -> bytes:
    issued = trustme.CA().issue_cert("server", not_after=NOW + timedelta(days=days))
    return issued.cert_chain_pems[0].bytes()


@pytest.fixture
def kube(tmp_path: Path) -> Kube:
    """kubectl that answers from two files, and refuses to hand out a private key."""
    checkout = Checkout(tmp_path, tmp_path)
    checkout.make_state()
    checkout.kubeconfig.write_text("")
    kubectl = checkout.bin / "kubectl"
    kubectl.write_text(
        f"""#!/bin/sh
case "$*" in
*tls.key*|*"get secrets"*"-o json"|*"get secrets"*"-o yaml") exit 1 ;;
*"get secrets"*"type=kubernetes.io/tls"*) cat {tmp_path}/secrets ;;
*"get configmaps"*) cat {tmp_path}/configmaps ;;
*) exit 1 ;;
esac
"""
    )
    kubectl.chmod(0o755)
    rows = [("data/postgres-tls", 364, 90), ("data/kafka-tls", 89.5, 90), ("old/none", 5, "")]
    (tmp_path / "secrets").write_text(
        "".join(f"{n} {r} {base64.b64encode(pem(d)).decode()}\n" for n, d, r in rows)
    )
    annotations = {pki.RENEW_BEFORE_DAYS: "400"}
    bundle = {
        "metadata": {"namespace": "apps", "name": "millrace-ca", "annotations": annotations},
        "data": {"ca.crt": pem(3650).decode()},
    }
    other = {"metadata": {"namespace": "data", "name": "kafka-config"}, "data": {}}
    (tmp_path / "configmaps").write_text(json.dumps({"items": [bundle, other]}))
    return Kube(checkout)


def test_the_first_to_end_comes_first_and_is_due_inside_its_renewal_window(kube: Kube) -> None:
    found = certificates.certificates(kube, NOW)
    assert [(c.name, c.left, c.due) for c in found] == [
        ("old/none", 5, False),
        ("data/kafka-tls", 89, True),
        ("data/postgres-tls", 364, False),
        ("apps/millrace-ca", 3650, False),
    ]


def test_one_that_has_ended_is_due_whatever_its_window() -> None:
    assert Certificate("data/some", left=-1, renew_before=0).due


def test_the_line_names_the_days_of_each_and_the_way_out_when_one_is_due() -> None:
    output = io.StringIO()
    console = Console(file=output, width=200)
    fine, due = Certificate("data/a", 364, 90), Certificate("data/b", 12, 90)
    status._print_certificates(console, [fine])
    assert output.getvalue() == "certificates last: data/a 364 d\n"
    status._print_certificates(console, [due, fine])
    assert output.getvalue().endswith(
        "certificates last: data/b 12 d, data/a 364 d; make up renews what is red\n"
    )


def test_status_looks_for_the_annotation_that_the_components_write() -> None:
    assert certificates.RENEW_BEFORE_DAYS == pki.RENEW_BEFORE_DAYS
