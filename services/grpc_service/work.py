"""What tasks do: functions of their input, run in processes of their own."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, RESOURCE_UPDATED
from services.shared.inbox.resources import verb_of

MOST_TERMS: Final = 50
"""Of a result, which travels in an event: these are some kilobytes."""
MOST_CHARACTERS: Final = 64
"""Of a term; what is longer is no word."""
_TERM: Final = re.compile(r"\w+")

Input = dict[str, Any]


class BadInputError(Exception):
    """No attempt could make anything of this input; the text says why."""


def perform(action: str, given: str) -> str:
    """The result of an action on `given`, the JSON text of an object: JSON text of one as well.

    Raises BadInputError when another attempt would be as useless.
    """
    work = ACTIONS.get(action)
    if work is None:
        raise BadInputError(f"there is no action {action}")
    return canonical(work(parse(given)))


def parse(text: str) -> Input:
    """The object that a JSON text stands for. Raises BadInputError."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadInputError("is nested too deeply") from None
    except ValueError as error:  # includes JSONDecodeError and integers of absurd length
        raise BadInputError(f"is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise BadInputError("is not a JSON object")
    return found


def canonical(value: object) -> str:
    """The one JSON text of a value, in ASCII. Raises BadInputError where there is none."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise BadInputError("is nested too deeply") from None
    except ValueError as error:  # 1e999 is read as infinite
        raise BadInputError(f"has no canonical form ({error})") from None


def _described(given: Input) -> Input:
    """Of a resource that is there: terms by which it can be found, and what it is as a whole."""
    name, description = _text(given, "name"), _text(given, "description", required=False)
    return {"digest": _digest(given), "terms": _count(f"{name}\n{description}")}


def _removed(given: Input) -> Input:
    """Of a resource that is gone: what there is nothing left of."""
    return {"removed": _text(given, "id")}


def _digested(given: Input) -> Input:
    return {"digest": _digest(given)}


def _terms(given: Input) -> Input:
    return {"terms": _count(_text(given, "text"))}


ACTIONS: Final[Mapping[str, Callable[[Input], Input]]] = {
    verb_of(RESOURCE_CREATED): _described,
    verb_of(RESOURCE_UPDATED): _described,
    verb_of(RESOURCE_DELETED): _removed,
    "digest": _digested,
    "terms": _terms,
}
"""Everything that a task can do. What has happened to a resource is said by its events alone."""
CALLER_ACTIONS: Final = frozenset({"digest", "terms"})
"""What anybody may ask for."""


def _text(given: Input, name: str, *, required: bool = True) -> str:
    value = given.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise BadInputError(f"{name}: must be text")
    return value


def _digest(given: Input) -> str:
    return hashlib.sha256(canonical(given).encode()).hexdigest()


def _count(text: str) -> Input:
    """The terms of a text, normalised, with how often each is in it: the most frequent ones."""
    counts = Counter(
        term
        for term in _TERM.findall(unicodedata.normalize("NFKC", text).casefold())
        if len(term) <= MOST_CHARACTERS
    )
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return {
        "all": counts.total(),
        "different": len(counts),
        "counts": dict(ranked[:MOST_TERMS]),
    }


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
