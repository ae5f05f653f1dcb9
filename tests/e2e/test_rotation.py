"""Secrets are replaced while all goes on: no request fails for it."""

import json
import subprocess
import time

import pytest

from bootstrap.checkout import Checkout
from loadtests import tokens
from tests.e2e.conftest import Say
from tests.e2e.steady import steady

PER_SECOND = 20  # two cores also update the platform four times meanwhile, and roll Kafka
KINDS = 6
ONE_OF_EACH = (
    "client-database-client-db",
    "postgres-restdb",
    "data-store-datadb",
    "redis-rest-service",
    "redis-stream-ingest-service",
    "kafka-outbox-relay-rest",
    "authority",
)
"""All but the key that signs tokens: that waits until the last token of the one before has ended,
ten minutes (tests/integration/auth_service/test_another_signing_key.py)."""


def rotate(checkout: Checkout, *secrets: str) -> tuple[int, str]:
    """Exit code and output of ``make rotate``."""
    done = subprocess.run(
        ["make", "-s", "rotate", f"SECRET={','.join(secrets)}"],
        cwd=checkout.root, capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def audited(said: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith('{"when"')]


@pytest.mark.timeout(1500)
def test_a_secret_of_each_kind_is_replaced_under_load_and_no_request_fails(
    checkout: Checkout, say: Say, registered: tokens.Tokens, prefix: str, settled: None
) -> None:
    began = time.monotonic()
    with steady(checkout, registered, prefix, PER_SECOND) as requests:
        code, said = rotate(checkout, *ONE_OF_EACH)
    seconds = time.monotonic() - began
    assert code == 0, said[-3000:]
    done = [line["what"] for line in audited(said) if line["outcome"] == "done"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(requests.answered.items()))
    say(f"{len(done)} secrets replaced in {seconds:.0f} s")
    say(
        f"{requests.count} requests meanwhile, {requests.count / seconds:.0f} a second ({kinds});"
        f" {len(requests.failed)} failed"
    )
    assert len(done) == len(ONE_OF_EACH)
    assert requests.failed == []
    assert len(requests.answered) == KINDS, "some kind of request was never made"
