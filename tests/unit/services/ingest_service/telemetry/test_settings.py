"""What telemetry has to be told."""

from pathlib import Path

import pytest

from services.ingest_service.telemetry.settings import (
    PointSettings,
    ReadersSettings,
    TelemetrySettings,
)
from services.shared.runtime.settings import DatabaseSettings, SettingsError, load

REQUIRED = ("HOST", "NAME", "USER", "PASSWORD_FILE", "CA_FILE")


@pytest.mark.parametrize(
    ("model", "prefix"), [(TelemetrySettings, "TELEMETRY"), (ReadersSettings, "TELEMETRY_READERS")]
)
def test_a_process_that_is_not_told_where_its_database_is_says_which_variables_are_missing(
    model: type[DatabaseSettings], prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    # Another database's variables, or the other way to this one, are no substitute.
    for other in {"DATABASE", "TELEMETRY", "TELEMETRY_READERS"} - {prefix}:
        for name in REQUIRED:
            monkeypatch.setenv(f"{other}_{name}", str(file))
    with pytest.raises(SettingsError) as error:
        load(model)
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        f"{prefix}_{name}" for name in REQUIRED
    ]


def test_limits_have_defaults_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(PointSettings) == PointSettings(
        most=500, future_seconds=300, seconds=10, most_waiting=20_000
    )
    monkeypatch.setenv("INGEST_POINTS_MOST", "0")
    with pytest.raises(SettingsError, match=r"INGEST_POINTS_MOST: .* greater than or equal to 1"):
        load(PointSettings)
