"""Creating a resource, and reading one by its id: called past the framework, which describes the
routes (api.py) and answers for ids that are none."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from services.rest_service.headers import LONGEST_KEY
from services.rest_service.models import ResourceInput
from services.rest_service.service import ResourceService
from services.shared.http.direct import Call, Reply
from services.shared.http.headers import idempotency_key, json_only
from services.shared.http.middleware import validation_problem
from services.shared.outbox.events import Origin

_NOTHING: Final = object()
"""In place of a body that is empty."""


class Endpoints:
    """Raise what the service raises, and ProblemError."""

    def __init__(self, service: ResourceService, path: str) -> None:
        """`path`: where resources are, for the Location of a new one."""
        self._service = service
        self._path = path
        self._input = TypeAdapter(ResourceInput)

    async def get(self, call: Call) -> Reply:
        """GET with an id."""
        found = await self._service.get(call.rest)
        return Reply(200, found.body, ((b"etag", b'"%d"' % found.version),))

    async def create(self, call: Call) -> Reply:
        """POST."""
        if call.fields.get(b"content-type") != b"application/json":
            json_only(Request(call.scope))
        try:
            given, value = self._input.validate_json(call.body), None
        except ValidationError:
            given, value = None, _parse(call.body)
        key = None
        if b"idempotency-key" in call.fields:
            key = idempotency_key(Request(call.scope), LONGEST_KEY)
        if given is None:
            given = self._validate(value)
        origin = Origin(call.correlation_id, call.traceparent)
        resource = await self._service.create(given, origin, key)
        location = f"{self._path}/{resource.id}".encode()
        headers = ((b"location", location), (b"etag", b'"%d"' % resource.version))
        return Reply(201, resource.model_dump_json().encode(), headers)

    def _validate(self, value: Any) -> ResourceInput:
        """As the framework does, whose words are known to clients. Raises ProblemError."""
        if value is _NOTHING:
            missing = {"type": "missing", "loc": ("body",), "msg": "Field required"}
            raise validation_problem([missing])
        try:
            return self._input.validate_python(value, from_attributes=True)
        except ValidationError as error:
            raise validation_problem(
                [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
            ) from None


def _parse(body: bytes) -> Any:
    """As the framework does: it takes what pydantic's own reader does not, UTF-16 for one."""
    try:
        return json.loads(body) if body else _NOTHING
    except Exception:  # any: it may also be nested too deep
        raise validation_problem([{"type": "json_invalid"}]) from None
