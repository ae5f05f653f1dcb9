"""The faster clock of the end-to-end test of alerts: the same rules, and promtool reads them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.monitoring.rules import rule_files, written
from tests.harness import time_lapse


@pytest.mark.parametrize(
    ("given", "faster"),
    [
        ("rate(x_total[5m])", "rate(x_total[60000ms])"),
        ("slo:work:rate1h offset 10m > 300", "slo:work:rate1h offset 120000ms > 300"),
        ("up == 0", "up == 0"),
        ("max_over_time(ALERTS[1h30m])", "max_over_time(ALERTS[1080000ms])"),
    ],
)
def test_an_expression_looks_back_for_a_fifth_of_the_time(given: str, faster: str) -> None:
    assert time_lapse.expression(given, 5) == faster


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="5 minutes"):
        time_lapse.seconds("5 minutes")


def test_all_rules_are_read_by_promtool_and_keep_all_but_their_durations(
    promtool: Path, tmp_path: Path
) -> None:
    for name, text in rule_files().items():
        given = yaml.safe_load(text)
        faster = time_lapse.document(given, 5)
        (tmp_path / name).write_text(written(faster), encoding="utf-8")
        assert _without_durations(faster) == _without_durations(given)
    files = sorted(str(path) for path in tmp_path.iterdir())
    asked = subprocess.run(
        [str(promtool), "check", "rules", *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr


def _without_durations(document: object) -> str:
    text = yaml.safe_dump(document, width=1_000_000)
    return re.sub(r"\b(\d+(ms|s|m|h|d|w))+\b", "…", text)
