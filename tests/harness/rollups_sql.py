"""Rollups computed by MySQL from the table of points: what the processes must have come to.

Times in these statements are UTC, as in the tables. Sums of doubles depend on their order, so what
is compared may differ in its last digits.
"""

from __future__ import annotations

from typing import Final

COLUMNS: Final = (
    *("device_id", "metric", "window_start", "window_seconds", "points", "minimum", "maximum"),
    *("mean", "p50", "p95", "anomaly_score"),
)
_FIGURES: Final = COLUMNS[5:]
_KEY: Final = "device_id, metric, window_start"
_PLACED: Final = ", ".join(f"placed.{name}" for name in COLUMNS[:3])
_SAME: Final = 1e-9
"""Relative difference that counts as none."""


def recomputed(window_seconds: int, condition: str = "TRUE") -> str:
    """A SELECT of COLUMNS from `telemetry`, of the points for which `condition` holds."""
    start = (
        "TIMESTAMP('1970-01-01') + INTERVAL"
        f" (TIMESTAMPDIFF(SECOND, '1970-01-01', ts) DIV {window_seconds} * {window_seconds}) SECOND"
    )
    return f"""
WITH placed AS (
  SELECT device_id, metric, {start} AS window_start, value FROM telemetry WHERE {condition}
), ordered AS (
  SELECT {_KEY}, value, COUNT(*) OVER one AS points,
         ROW_NUMBER() OVER (one ORDER BY value) - 1 AS place
  FROM placed WINDOW one AS (PARTITION BY {_KEY})
), figures AS (
  SELECT {_KEY}, MAX(points) AS points, MIN(value) AS minimum, MAX(value) AS maximum,
         AVG(value) AS mean, {_quantile("value", "0.5")} AS p50, {_quantile("value", "0.95")} AS p95
  FROM ordered GROUP BY {_KEY}
), distances AS (
  SELECT {_KEY}, ABS(value - p50) AS away, figures.points,
         ROW_NUMBER() OVER (PARTITION BY {_PLACED} ORDER BY ABS(value - p50)) - 1 AS place
  FROM placed JOIN figures USING ({_KEY})
), spread AS (
  SELECT {_KEY}, MAX(away) AS farthest, AVG(away) AS mean_away,
         {_quantile("away", "0.5")} AS median_away
  FROM distances GROUP BY {_KEY}
)
SELECT {_KEY}, {window_seconds} AS window_seconds, points, minimum, maximum, mean, p50, p95,
       CASE WHEN median_away > 0 THEN 0.6745e0 * farthest / median_away
            WHEN mean_away > 0 THEN farthest / (1.253314e0 * mean_away) ELSE 0 END AS anomaly_score
FROM figures JOIN spread USING ({_KEY})""".strip()


def replaced(window_seconds: int, condition: str = "TRUE") -> str:
    """A statement that puts the rollups of those points in the place of what there is."""
    return f"REPLACE INTO telemetry_rollups ({', '.join(COLUMNS)})\n" + recomputed(
        window_seconds, condition
    )


def differences(window_seconds: int, condition: str = "TRUE") -> str:
    """A SELECT of the keys of rollups that are missing, too many or different; none when all is
    well.

    `condition` says which points, and in terms of `ts` alone: it is applied to the start of
    rollups' windows as well.
    """
    wrong = " OR ".join(
        f"ABS(made.{name} - wanted.{name}) > {_SAME} * GREATEST(ABS(wanted.{name}), 1e-9)"
        for name in _FIGURES
    )
    made = (
        "SELECT * FROM (SELECT *, window_start AS ts FROM telemetry_rollups) AS every"
        f" WHERE window_seconds = {window_seconds} AND {condition}"
    )
    return f"""
WITH wanted AS ({recomputed(window_seconds, condition)}), made AS ({made})
SELECT wanted.device_id, wanted.metric, wanted.window_start, wanted.points AS wanted,
       made.points AS made
FROM wanted LEFT JOIN made USING ({_KEY})
WHERE made.points IS NULL OR made.points <> wanted.points OR {wrong}
UNION ALL
SELECT made.device_id, made.metric, made.window_start, wanted.points, made.points
FROM made LEFT JOIN wanted USING ({_KEY}) WHERE wanted.points IS NULL""".strip()


def _quantile(column: str, share: str) -> str:
    place = f"(points - 1) * {share}"
    low = f"MAX(CASE WHEN place = FLOOR({place}) THEN {column} END)"
    high = f"MAX(CASE WHEN place = CEIL({place}) THEN {column} END)"
    return f"{low} + ({high} - {low}) * (MAX({place}) - FLOOR(MAX({place})))"
