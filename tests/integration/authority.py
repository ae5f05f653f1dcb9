"""What a test run's servers have in common: certificates and secrets, and waiting for them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trustme

PATIENCE = 30
"""Seconds for a connection of a test's own: services give up after 3, which a busy machine may take
for TLS and a password."""


async def eventually(check: Callable[[], Awaitable[object]], seconds: float = 120) -> None:
    """Wait until `check` returns something true; AssertionError after `seconds`.

    As a rule it takes moments: so many seconds are for a machine that has no time at all.
    """
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {check}"
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of this test run; its certificates are for `localhost` only."""

    folder: Path
    ca: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> Authority:
        authority = cls(folder, trustme.CA())
        authority.ca.cert_pem.write_to_path(authority.ca_file)
        return authority

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def ca_pem(self) -> bytes:
        return self.ca.cert_pem.bytes()

    def issue(self, *names: str) -> tuple[bytes, bytes]:
        """A certificate chain and its private key, both PEM; for `localhost` unless named."""
        leaf = self.ca.issue_cert(*(names or ("localhost",)))
        return b"".join(pem.bytes() for pem in leaf.cert_chain_pems), leaf.private_key_pem.bytes()

    def secret(self, name: str) -> Path:
        """A file with a new password, as a mounted Secret would be."""
        path = self.folder / f"{name}-{secrets.token_hex(4)}"
        path.write_text(secrets.token_hex(16))
        return path
