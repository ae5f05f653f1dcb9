"""Keys are read from a folder that must be in order; tokens follow the clock of the day."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from services.auth_service.keys import SigningKeys
from services.auth_service.settings import AuthSettings
from services.auth_service.tokens import Tokens
from services.shared.runtime.settings import SettingsError

# How long an example takes says what else the machine does.
unhurried = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def written(folder: Path, kid: str, curve: str = "P-256", *, private: bool = True) -> Path:
    key = ECKey.generate_key(curve)
    (folder / f"{kid}.pem").write_bytes(key.as_pem(private=private))
    (folder / "active").write_text("k1")
    return folder


def settings(folder: Path) -> AuthSettings:
    secret = folder.parent / "administrator"
    secret.write_text("x")
    return AuthSettings(issuer="http://a.test", keys_dir=folder, admin_secret_file=secret)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("kid", "more", "said"),
    [
        ("k2", {}, "`active` names 'k1', but the keys are: k2; add k1.pem"),
        ("k1", {"curve": "P-384"}, "k1.pem is no private key on P-256"),
        ("k1", {"private": False}, "k1.pem is no private key on P-256"),
    ],
)
def test_a_folder_that_is_not_in_order_is_refused_with_a_way_out(
    folder: Path, kid: str, more: dict, said: str
):
    written(folder, kid, **more)
    with pytest.raises(SettingsError, match=said):
        SigningKeys(folder)


def test_a_folder_without_an_active_key_is_refused(folder: Path):
    with pytest.raises(SettingsError, match="`active` cannot be read"):
        SigningKeys(folder)


def test_what_a_file_holds_that_is_no_key_is_not_repeated(folder: Path):
    written(folder, "k1")
    (folder / "k2.pem").write_text("misplaced secret")
    with pytest.raises(SettingsError, match=r"k2.pem cannot be read") as error:
        SigningKeys(folder)
    assert "misplaced" not in str(error.value)


def test_a_token_ends_by_the_clock_also_when_that_is_set(folder: Path):
    now = 1_000_000.0
    tokens = Tokens(settings(folder), SigningKeys(written(folder, "k1")), lambda: now)
    token, jti = tokens.issue("a", "data:read")
    found = tokens.read(token)
    assert found is not None
    assert (found.client_id, found.scopes, found.jti) == ("a", {"data:read"}, jti)
    for moved, valid in ((599, True), (600, False), (86_400, False), (-59, True), (-61, False)):
        now = 1_000_000.0 + moved
        assert (tokens.read(token) is not None) is valid, moved


def test_nothing_is_a_token_that_was_not_issued(folder: Path):
    tokens = Tokens(settings(folder), SigningKeys(written(folder, "k1")))
    token, _ = tokens.issue("a", "data:read")

    @unhurried
    @given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
    def never(text: str) -> None:
        assert tokens.read(text) is None

    @unhurried
    @given(st.integers(0, len(token) - 2), st.sampled_from("AZaz09-_."))
    def nor_changed(place: int, other: str) -> None:
        changed = token[:place] + other + token[place + 1 :]
        assert changed == token or tokens.read(changed) is None

    never()
    nor_changed()
