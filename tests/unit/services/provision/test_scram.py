"""What PostgreSQL keeps of a password."""

import base64
import hashlib
import hmac

import pytest

from services.provision.scram import verifier
from services.provision.spec import ProvisionError


def test_it_proves_the_exchange_that_rfc_7677_shows():
    """Its example, section 3: user `user`, password `pencil`."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    _, _, keys = verifier("pencil", salt).split("$")
    stored, server = (base64.b64decode(part) for part in keys.split(":"))
    said = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, said, "sha256"), strict=True))
    assert hashlib.sha256(client).digest() == stored
    signature = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert hmac.digest(server, said, "sha256") == signature


def test_two_of_one_password_differ():
    assert verifier("pencil") != verifier("pencil")


def test_another_spelling_of_the_same_letters_is_the_same_password():
    salt = b"salt"
    assert verifier("pencil\u00e9", salt) == verifier("pencile\u0301", salt)
    assert verifier("a\u00a0b", salt) == verifier("a b", salt)


def test_what_no_password_may_hold_is_refused():
    with pytest.raises(ProvisionError, match="RFC 4013"):
        verifier("pencil\x07")
