"""Which rates make sense, and whose requests are counted together."""

from __future__ import annotations

from typing import Any

import pytest

from services.shared.limits.clients import named
from services.shared.limits.settings import RateLimitSettings
from services.shared.runtime.settings import SettingsError, load


@pytest.mark.parametrize(
    ("client", "address", "name"),
    [
        ("c", "10.0.0.1", "client:c"),
        (None, "10.0.0.1", "address:10.0.0.1"),
        (None, "2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        (None, "2001:db8:1:2::9", "address:2001:db8:1:2::/64"),
        (None, "fe80::1%eth0", "address:fe80::/64"),
        (None, "::ffff:10.0.0.1", "address:10.0.0.1"),
        (None, ":nonsense:", "address:unknown"),
        (None, None, "address:unknown"),
        ("10.0.0.1", None, "client:10.0.0.1"),
    ],
)
def test_whose_requests_are_counted_together(
    client: str | None, address: str | None, name: str
) -> None:
    assert named(client, address) == name


@pytest.mark.parametrize(
    ("given", "at_once"),
    [({"per_second": 50}, 50), ({"per_second": 0.1}, 1), ({"per_second": 5, "burst": 70}, 70)],
)
def test_a_burst_is_a_seconds_worth_unless_it_is_said(given: Any, at_once: int) -> None:
    assert RateLimitSettings(**given).at_once == at_once


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PER_SECOND": "0"}, "RATE_LIMIT_PER_SECOND"),
        ({"PER_SECOND": "1", "BURST": "0"}, "RATE_LIMIT_BURST"),
        ({"PER_SECOND": "0.001", "BURST": "87"}, "longer than a day"),
        ({"CLIENTS": "3"}, "RATE_LIMIT_CLIENTS"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"RATE_LIMIT_{name}", value)
    with pytest.raises(SettingsError, match=said):
        load(RateLimitSettings)


def test_without_a_rate_there_is_no_limit() -> None:
    assert load(RateLimitSettings).per_second is None
