"""What PostgreSQL keeps of a password, made here: it never sees the password itself.

The form is that of pg_authid.rolpassword; the arithmetic is RFC 5802's, with SHA-256 (RFC 7677).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from base64 import b64encode
from typing import Final

from services.provision.spec import ProvisionError

ITERATIONS: Final = 4096
"""The server's own default (scram_iterations), which logins wait for."""
_SALT_BYTES: Final = 16
_REFUSED: Final = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def verifier(password: str, salt: bytes | None = None) -> str:
    """`SCRAM-SHA-256$4096:SALT$STORED:SERVER`; the salt is random unless given.

    Raises ProvisionError for a password with what no password may hold, control characters for one.
    """
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_, stored_, server_ = (b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt_}${stored_}:{server_}"


def _prepared(password: str) -> str:
    """As RFC 4013 has it (SASLprep), as far as the direction of writing does not matter."""
    mapped = (
        " " if stringprep.in_table_c12(letter) else letter
        for letter in password
        if not stringprep.in_table_b1(letter)
    )
    prepared = unicodedata.normalize("NFKC", "".join(mapped))
    if any(refused(letter) for letter in prepared for refused in _REFUSED):
        raise ProvisionError(
            "the password holds characters that no password may hold (RFC 4013, 2.3); let Pulumi"
            " generate it"
        )
    return prepared
