"""What is wrong with the points of a body: where, why, and what to do about it.

The way of a request that is refused; what is good never comes here. However much is wrong, little
is looked at and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from services.contracts.telemetry import MAX_DEVICE_ID, MAX_METRIC
from services.ingest_service.telemetry.points import Bodies, MediaType, Point, is_beyond, lines
from services.ingest_service.telemetry.settings import PointSettings
from services.shared.http.problem import FieldError, ProblemError

_MOST_ERRORS: Final = 20
_PATIENCE: Final = 4
"""What has so many times as much in it as it may have is not looked at any closer."""
_SHAPE: Final = "must be a point: a JSON object with device_id, metric, ts and value"
_REASONS: Final = {
    "device_id": f"must be 1 to {MAX_DEVICE_ID} characters, letters A to Z and a to z, digits and"
    " . _ : @ / -, of which the first is a letter or a digit",
    "metric": f"must be 1 to {MAX_METRIC} characters, letters A to Z and a to z, digits and"
    " . _ : / -, of which the first is a letter or _",
    "ts": "must be a text as RFC 3339 has it, from 1970 on and with an offset:"
    " 2026-11-22T21:00:00.25Z",
    "value": "must be a finite number within the range of doubles, and neither true, false nor in"
    " quotes; leave the point out where there is none",
}
"""The whole rule of a field: who breaks it in one way is told of the others too."""


class Examiner:
    """Looks at bodies that Bodies did not take."""

    def __init__(self, settings: PointSettings, bodies: Bodies) -> None:
        self._settings = settings
        self._bodies = bodies

    def examine(self, body: bytes, media_type: MediaType) -> Sequence[Point]:
        """The points after all, if nothing is wrong with them. Raises ProblemError."""
        if is_beyond(body, _PATIENCE * self._settings.most):
            reason = (
                f"has far more in it than {self._settings.most} points have; send them in several"
                " requests, one object of four fields for each point"
            )
            raise _refused(FieldError(field="body", reason=reason))
        errors: list[FieldError] = []
        points: list[Point] = []
        latest = self._bodies.latest()
        for place, given in self._given(body, media_type):
            if isinstance(given, FieldError):
                errors.append(given)
            elif (point := self._point(place, given, latest, errors)) is not None:
                points.append(point)
            if len(errors) >= _MOST_ERRORS:
                break
        if errors:
            raise _refused(*errors[:_MOST_ERRORS])
        return points

    def _given(self, body: bytes, media_type: MediaType) -> Iterator[tuple[str, Any]]:
        """Each point with its place; in place of one that cannot be read, the fault."""
        if media_type == "application/x-ndjson":
            given = lines(body)
            self._insist_on_number("body", len(given))
            for number, line in given:
                place = f"line.{number}"
                try:
                    yield place, from_json(line)
                except ValueError as error:
                    reason = f"cannot be read as JSON in UTF-8: {error}; write a point on each line"
                    yield place, FieldError(field=place, reason=reason)
            return
        whole = _parse(body)
        if not isinstance(whole, dict) or "points" not in whole:
            yield "body", whole
            return
        for name in whole.keys() - {"points"}:
            yield "body", _unknown("body", name, "beside points")
        points = whole["points"]
        if not isinstance(points, list):
            reason = "must be an array of points; leave the name out to send a single one"
            raise _refused(FieldError(field="body.points", reason=reason))
        self._insist_on_number("body.points", len(points))
        for n, one in enumerate(points):
            yield f"body.points.{n}", one

    def _insist_on_number(self, place: str, number: int) -> None:
        most = self._settings.most
        if not 1 <= number <= most:
            way_out = "send them in several requests" if number else "send one at least"
            reason = f"must have 1 to {most} points, has {number}; {way_out}"
            raise _refused(FieldError(field=place, reason=reason))

    def _point(
        self, place: str, given: Any, latest: datetime, errors: list[FieldError]
    ) -> Point | None:
        if not isinstance(given, dict):
            errors.append(FieldError(field=place, reason=_SHAPE))
            return None
        named: dict[str, Any] = given
        unknown = [name for name in named if name not in _REASONS]
        errors += [_unknown(place, name, "of a point") for name in unknown[:_MOST_ERRORS]]
        known = {name: value for name, value in named.items() if name in _REASONS}
        try:
            point = self._bodies.one(to_json(known))
        except ValidationError as error:
            fields = dict.fromkeys(one["loc"][0] for one in error.errors(include_url=False))
            for field in map(str, fields):
                reason = _REASONS[field] if field in known else f"is missing; {_REASONS[field]}"
                errors.append(FieldError(field=f"{place}.{field}", reason=reason))
            return None
        if point.ts > latest:
            ahead = self._settings.future_seconds
            reason = (
                f"is more than {ahead:g} s ahead of this service's clock; set the device's clock"
            )
            errors.append(FieldError(field=f"{place}.ts", reason=reason))
        return None if unknown else point


def _parse(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError as error:
        raise ProblemError(
            400, "malformed-body", f"the body cannot be read as JSON in UTF-8: {error}; correct it"
        ) from None


def _unknown(place: str, name: str, of: str) -> FieldError:
    # As short as it takes to find it, and harmless to show.
    shown = ascii(name)[1:-1][:100]
    return FieldError(field=f"{place}.{shown}", reason=f"is no field {of}; leave it out")


def _refused(*errors: FieldError) -> ProblemError:
    named = ", ".join(error.field for error in errors)[:2000]
    return ProblemError(
        422, "invalid-point", f"refused: {named}; see errors for the reasons", errors=[*errors]
    )
