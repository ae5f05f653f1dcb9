"""What the body of a request that brings documents may hold, and what becomes of it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any, Final, Protocol

from pydantic_core import from_json, to_json

from services.contracts.ids import new_id
from services.shared.http.problem import FieldError, ProblemError

MAX_ID: Final = 200
_ID_REASON: Final = f"must be a string of 1 to {MAX_ID} printable characters"
_TOO_DEEP: Final = (
    "is nested deeper than is taken (32 arrays and objects in each other unless set otherwise)"
)
_TOO_LONG: Final = (
    "has numbers that take more than 64 KiB written out without an exponent, as the database does; "
    "round them, or give them as texts"
)
_MOST_ERRORS: Final = 20
_LARGEST: Final = int(sys.float_info.max)
_MOST_WRITTEN_OUT: Final = 64 * 1024
"""Characters that a document's numbers may take more in the database than they have here."""


class Limits(Protocol):
    """What a service takes."""

    @property
    def max_documents(self) -> int:
        """Most documents in one request."""
        ...

    @property
    def max_depth(self) -> int:
        """How deep arrays and objects may be nested; the document itself is the first."""
        ...


def is_id(given: object) -> bool:
    """Whether a document may have this id."""
    return isinstance(given, str) and 1 <= len(given) <= MAX_ID and given.isprintable()


def read(body: bytes, key: str | None, settings: Limits) -> list[tuple[str, bytes]]:
    """The documents in a body, in order: id and JSON of each. `key` is the Idempotency-Key.

    An object is one document, an array a batch of them. A document without an id gets one, which
    it carries from then on.
    Raises ProblemError.
    """
    given = _parse(body)
    plain = b"\\u0000" not in body
    if not isinstance(given, list):
        return [_one(given, key, "body", settings.max_depth, plain)]
    if key is not None:
        raise ProblemError(
            400,
            "idempotency-key-on-batch",
            "Idempotency-Key: names one document, and the body is an array; give each document an"
            " id of its own instead",
        )
    if not 1 <= len(given) <= settings.max_documents:
        raise _refused(
            FieldError(
                field="body",
                reason=f"must have 1 to {settings.max_documents} documents, has {len(given)}",
            )
        )
    depth = settings.max_depth
    return [_one(one, None, f"body.{n}", depth, plain) for n, one in enumerate(given)]


def _parse(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise _refused(FieldError(field="body", reason=_TOO_DEEP)) from None
        raise ProblemError(
            400, "malformed-body", f"the body cannot be read as JSON in UTF-8: {error}; correct it"
        ) from None


def _one(given: Any, key: str | None, place: str, max_depth: int, plain: bool) -> tuple[str, bytes]:
    """`plain`: it has no NUL character."""
    if not isinstance(given, dict):
        reason = "must be a document: a JSON object"
        raise _refused(FieldError(field=place, reason=reason))
    document: dict[str, Any] = given
    if "id" in document and not is_id(document["id"]):
        raise _refused(FieldError(field=f"{place}.id", reason=_ID_REASON))
    if key is not None and document.get("id", key) != key:
        raise ProblemError(
            400,
            "two-ids",
            "Idempotency-Key: is another than the document's id; leave one of them out",
        )
    if not (plain and _is_fine(document.values(), max_depth - 1)):
        errors: list[FieldError] = []
        _look(document, (place,), max_depth, errors)
        if not errors and _written_out(document) > _MOST_WRITTEN_OUT:
            errors.append(FieldError(field=place, reason=_TOO_LONG))
        if errors:
            raise _refused(*errors[:_MOST_ERRORS])
    if "id" not in document:
        document = {"id": key or new_id(), **document}
    return document["id"], to_json(document)


def _is_fine(values: Iterable[Any], depth: int) -> bool:
    """Whether a closer look would find nothing but a NUL character. Most documents need none.

    `depth`: how many more arrays and objects may open.
    """
    for one in values:
        kind = type(one)
        if kind is int or kind is float:
            if not -_LARGEST <= one <= _LARGEST or _is_long(one):
                return False
        elif kind is dict or kind is list:
            inner = one.values() if kind is dict else one
            if not depth or not _is_fine(inner, depth - 1):
                return False
    return True


def _look(value: Any, path: tuple[Any, ...], depth: int, errors: list[FieldError]) -> None:
    """Find what jsonb cannot hold, or would give back as something else.

    `depth`: how many more arrays and objects may open. `path` is the place, the innermost last, in
    pairs: it is spelled out for what is refused only.
    """
    if isinstance(value, (dict, list)):
        if not depth:
            errors.append(_fault(path, _TOO_DEEP))
            return
        named = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in named:
            if isinstance(name, str) and "\0" in name:
                errors.append(_fault(path, "has a name that contains the NUL character"))
            _look(inner, (path, name), depth - 1, errors)
    elif isinstance(value, str):
        if "\0" in value:
            errors.append(_fault(path, "must not contain the NUL character"))
    elif isinstance(value, (int, float)) and not _is_double(value):
        errors.append(_fault(path, "must be a number within the range of doubles"))


def _is_long(number: float) -> bool:
    """Whether it is written with an exponent, which jsonb, being exact, writes out."""
    return isinstance(number, float) and number != 0 and not 1e-5 <= abs(number) < 1e17


def _written_out(value: Any) -> int:
    """Characters that jsonb adds to a value, which is not too deep."""
    if isinstance(value, dict):
        return sum(map(_written_out, value.values()))
    if isinstance(value, list):
        return sum(map(_written_out, value))
    if isinstance(value, float) and math.isfinite(value) and _is_long(value):
        return int(abs(math.log10(abs(value))))
    return 0


def _is_double(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def _fault(path: tuple[Any, ...], reason: str) -> FieldError:
    parts: list[str] = []
    while len(path) == 2:
        path, last = path
        # As short as it takes to find it, and harmless to show.
        parts.append(ascii(last)[1:-1][:100] if isinstance(last, str) else str(last))
    return FieldError(field=".".join((*path, *reversed(parts)))[:1000], reason=reason)


def _refused(*errors: FieldError) -> ProblemError:
    named = ", ".join(error.field for error in errors)[:2000]
    return ProblemError(
        422, "invalid-document", f"refused: {named}; see errors for the reasons", errors=[*errors]
    )
