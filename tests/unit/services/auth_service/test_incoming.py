"""What clients send is read as the RFCs have it, whatever it is."""

from __future__ import annotations

import base64
import contextlib
from urllib.parse import quote_plus

import pytest
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.auth_service.incoming import read_credentials, read_form

# How long an example takes says what else the machine does.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
FORM = {b"content-type": b"application/x-www-form-urlencoded; charset=UTF-8"}


@unhurried
@given(body=st.binary(max_size=200))
def test_any_body_is_a_form_or_refused(body: bytes):
    with contextlib.suppress(InvalidRequestError):
        assert all(read_form(FORM, body).values())


@unhurried
@given(header=st.binary(max_size=100), form=st.dictionaries(st.text(), st.text(min_size=1)))
def test_any_header_holds_credentials_or_is_refused(header: bytes, form: dict[str, str]):
    for given_header in (header, b"Basic " + base64.b64encode(header)):
        with contextlib.suppress(InvalidRequestError, InvalidClientError):
            assert all(read_credentials({b"authorization": given_header}, form))


@unhurried
@given(client_id=st.text(min_size=1, max_size=40), secret=st.text(min_size=1, max_size=40))
def test_what_is_encoded_as_rfc_6749_has_it_comes_out_as_it_was(client_id: str, secret: str):

    joined = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    header = b"Basic " + base64.b64encode(joined)
    assert read_credentials({b"authorization": header}, {}) == (client_id, secret)


def test_a_form_of_too_many_fields_is_refused():
    with pytest.raises(InvalidRequestError, match="too many fields"):
        read_form(FORM, b"&".join(b"a%d=1" % n for n in range(51)))
