"""What tasks make of their input, and what they can make nothing of."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from services.contracts.payloads import ResourcePayload
from services.grpc_service.work import (
    ACTIONS,
    CALLER_ACTIONS,
    MOST_CHARACTERS,
    MOST_TERMS,
    BadInputError,
    canonical,
    parse,
    perform,
)

RESOURCE: dict[str, Any] = {
    "id": "r-1",
    "name": "Straße STRASSE",
    "description": "the \ufb01ne, fine; \uff26\uff29\uff2e\uff25!",
    "status": "active",
    "created_at": "2026-01-01T00:00:00.000000Z",
    "updated_at": "2026-01-01T00:00:00.000000Z",
}


def made(action: str, given: object) -> Any:
    return json.loads(perform(action, json.dumps(given)))


@pytest.mark.parametrize("action", ["created", "updated"])
def test_a_resource_is_described_by_its_normalised_terms_and_a_digest_of_all_of_it(
    action: str,
) -> None:
    ResourcePayload.model_validate_json(json.dumps(RESOURCE))
    found = made(action, RESOURCE)
    assert found["terms"] == {
        "all": 6,
        "different": 3,
        "counts": {"fine": 3, "strasse": 2, "the": 1},
    }
    text = json.dumps(RESOURCE, sort_keys=True, separators=(",", ":"))
    assert found["digest"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_resource_need_not_be_described() -> None:
    assert made("created", RESOURCE | {"description": None})["terms"]["all"] == 2


def test_of_a_resource_that_is_gone_its_id_is_left() -> None:
    assert made("deleted", {"id": "r-1", "status": "deleted"}) == {"removed": "r-1"}


def test_a_digest_does_not_go_by_how_the_input_is_written() -> None:
    one, other = '{"a": 1, "b": "\u00e4"}', '{"b":"\\u00e4","a":1}'
    assert perform("digest", one) == perform("digest", other)
    assert perform("digest", one) != perform("digest", '{"a": 1}')


def test_a_result_is_bounded_whatever_the_input() -> None:
    text = " ".join(f"\U00010400{n:04d}" * 3 for n in range(2000)) + " " + "x" * 10_000
    found = perform("terms", json.dumps({"text": text}))
    assert found.isascii()
    assert len(found) < MOST_TERMS * (12 * MOST_CHARACTERS + 10)
    assert json.loads(found)["terms"]["different"] == 2000
    assert len(json.loads(found)["terms"]["counts"]) == MOST_TERMS


@pytest.mark.parametrize(
    ("action", "given", "reason"),
    [
        ("terms", "{", "is not JSON"),
        ("terms", "[1]", "is not a JSON object"),
        ("terms", '{"text": NaN}', "NaN is not a JSON number"),
        ("terms", '{"text": 7}', "text: must be text"),
        ("created", '{"name": "n", "description": 7}', "description: must be text"),
        ("updated", '{"description": "d"}', "name: must be text"),
        ("deleted", "{}", "id: must be text"),
        ("digest", '{"a": 1e999}', "has no canonical form"),
        ("digest", '{"a": ' + "9" * 5000 + "}", "is not JSON"),
        ("digest", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "is nested too deeply"),
        ("scan", "{}", "there is no action scan"),
    ],
)
def test_what_no_attempt_could_use_is_said_to_be_so(action: str, given: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        perform(action, given)


def test_what_postgresql_and_an_event_cannot_hold_is_written_in_ascii() -> None:
    found = perform("terms", '{"text": "a\\u0000b \\ud800"}')
    assert found.isascii()
    assert canonical(parse('{"a": "\\u0000\\ud800"}')) == '{"a":"\\u0000\\ud800"}'


def test_callers_may_ask_for_some_of_what_tasks_can_do() -> None:
    assert set(ACTIONS) > CALLER_ACTIONS
    assert not CALLER_ACTIONS & {"created", "updated", "deleted"}
