"""Where statements go, read off the rules; the integration suite asks a real ProxySQL the same."""

import re

import pytest

from components.servers.proxysql import config
from components.servers.proxysql.rules import HINT, MARKER, READERS, WRITER, rules
from tests.harness.proxysql_rules import STATEMENTS, deciding, digest, hostgroup

GROUPS = {"writer": WRITER, "readers": READERS}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda text: text[:60])
def test_a_statement_goes_where_the_table_says(statement: str) -> None:
    assert hostgroup(statement) == GROUPS[STATEMENTS[statement]]


def test_a_word_that_begins_like_a_read_is_none() -> None:
    assert hostgroup("SELECTED") == WRITER


def test_the_hint_is_the_one_that_services_write() -> None:
    assert STATEMENTS[f"SELECT {HINT} value FROM t WHERE id = 1"] == "writer"


def test_the_proxy_itself_says_which_routes_it_goes_by() -> None:
    rule = deciding(MARKER, "routes-7")
    assert rule is not None
    assert rule.answer == "routes-7"


def test_a_locking_read_is_found_beyond_the_end_of_its_digest() -> None:
    (statement,) = (
        text for text in STATEMENTS if text.endswith("FOR UPDATE") and len(text) > 8_192
    )
    assert "FOR UPDATE" not in digest(statement)
    assert hostgroup(statement) == WRITER


# Without the one excepted, too, what is no read goes to the writer: after all others were tried.
@pytest.mark.parametrize("lost", [r.number for r in rules("") if not r.negated])
def test_no_rule_can_be_left_out_unnoticed(lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(rule for rule in rules("routes-0") if rule.number != lost)
    monkeypatch.setattr("tests.harness.proxysql_rules.rules", lambda _: left)
    table = {statement: GROUPS[wanted] for statement, wanted in STATEMENTS.items()}
    wrong = [statement for statement, wanted in table.items() if hostgroup(statement) != wanted]
    told = deciding(MARKER)
    assert wrong or told is None or not told.answer


def test_the_rules_are_rendered_as_they_are_read_here() -> None:
    routes = config.Routes((), {}, "lookabout", connections=1, max_lag_seconds=60)
    text = routes.texts()["routes.cnf"]
    for rule in rules(routes.version):
        (line,) = re.findall(rf".*rule_id={rule.number},.*", text)
        for expression in filter(None, (rule.digest, rule.pattern)):
            assert expression.replace("\\", "\\\\") in line
        assert ("negate_match_pattern=1" in line) == rule.negated
        assert "apply=1" in line
