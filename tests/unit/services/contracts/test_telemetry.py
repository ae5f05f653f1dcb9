"""What a point is, for those who read it from the topic."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from services.contracts.telemetry import TelemetryPoint


@pytest.mark.parametrize(
    "moment",
    [
        "9999-12-31T23:59:59-23:00",
        "0001-01-01T00:00:00+23:00",
        "1969-12-31T23:59:59.999999Z",
        "9999-01-01T00:00:00Z",
        "2026-01-01T00:00:00",
    ],
)
def test_a_time_out_of_range_is_refused_like_everything_else_that_is_wrong(moment: str) -> None:
    said = {"device_id": "d", "metric": "m", "ts": moment, "value": 1.0, "version": 1}
    with pytest.raises(ValidationError, match="ts"):
        TelemetryPoint.model_validate_json(json.dumps(said))


def test_a_time_is_kept_in_utc() -> None:
    said = '{"device_id": "d", "metric": "m", "ts": "1970-01-01T01:00:00+01:00", "value": 1,'
    assert TelemetryPoint.model_validate_json(said + ' "version": 0}').ts.isoformat() == (
        "1970-01-01T00:00:00+00:00"
    )
