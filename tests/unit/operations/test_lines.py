"""A Job's log as an operator reads it."""

import json

import pytest

from operations.lines import Log
from operations.table import age, size


def entry(**more: object) -> str:
    return json.dumps({"timestamp": "2026-01-02T03:04:05.678Z", "service": "backup", **more})


def test_a_line_of_ours_is_told_with_its_time_and_its_fields():
    shown = Log().line(entry(level="info", event="backup_taken", rows=3, backup="b-1"))
    assert shown == "03:04:05  backup taken  rows=3  backup=b-1"


def test_what_is_no_line_of_ours_is_shown_as_it_is():
    for text in ("Traceback (most recent call last):", "[1, 2]", '{"a": 1}', ""):
        assert Log().line(text) == text


def test_the_failing_sentence_is_the_last_complaint_and_not_what_follows_it():
    log = Log()
    log.line(entry(level="error", event="backup_action_failed", reason="the disk is full"))
    log.line("shutting down")
    assert log.failing_sentence == "the disk is full"


def test_a_program_that_died_without_a_sentence_is_quoted_by_its_last_line():
    log = Log()
    log.line("Traceback (most recent call last):")
    log.line("NotImplementedError")
    log.line("")
    assert log.failing_sentence == "NotImplementedError"
    assert Log().failing_sentence == "it said nothing"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(5, "5 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_an_age_is_told_in_its_largest_fitting_unit(seconds: int, told: str):
    assert age(seconds) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB")])
def test_a_size_is_told_in_its_largest_fitting_unit(count: int, told: str):
    assert size(count) == told
