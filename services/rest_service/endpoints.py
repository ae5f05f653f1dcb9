"""Reading a resource by its id: called past the framework, which describes the route (api.py) and
answers for ids that are none."""

from __future__ import annotations

from services.rest_service.service import ResourceService
from services.shared.http.direct import Call, Reply


class Endpoints:
    """Raise what the service raises."""

    def __init__(self, service: ResourceService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        """GET with an id."""
        found = await self._service.get(call.rest)
        return Reply(200, found.body, ((b"etag", b'"%d"' % found.version),))
