"""The relay's settings and its backoff."""

from __future__ import annotations

import pytest

from services.outbox_relay.backoff import Backoff
from services.outbox_relay.settings import RelaySettings
from services.shared.runtime.settings import SettingsError, load


def test_a_message_that_could_outlive_its_lease_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_ID", "relay-1")
    monkeypatch.setenv("RELAY_MESSAGE_TIMEOUT_MS", "9000")
    with pytest.raises(SettingsError, match=r"must fit into 70 % .* raise the lease or lower"):
        load(RelaySettings)


def test_the_defaults_are_those_of_the_design(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_ID", "relay-1")
    settings = load(RelaySettings)
    assert settings.lease_ttl_seconds == 10
    assert settings.batch_size == 500
    assert (settings.poll_min_seconds, settings.poll_max_seconds) == (0.025, 1.0)
    assert settings.retention_days == 3


def test_a_relay_needs_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAY_ID", raising=False)
    with pytest.raises(SettingsError, match="RELAY_ID"):
        load(RelaySettings)


def test_polling_slows_down_while_there_is_nothing_and_is_quick_again_after_work() -> None:
    backoff = Backoff(0.025, 1.0)
    idle = [backoff.after_nothing() for _ in range(8)]
    assert idle == [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.after_work() == 0.025
    assert backoff.after_nothing() == 0.025
