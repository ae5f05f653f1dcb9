"""What can be done with resources: the repository decides, the cache only saves it reads."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator

from services.rest_service.cache import UNKNOWN_VERSION, Entry, VersionedCache
from services.rest_service.models import Resource, ResourceInput
from services.rest_service.repository import ResourceRepository
from services.shared.outbox.events import Origin
from services.shared.postgres.database import DatabaseUnavailableError


class ResourceService:
    """Raises what the repository raises; nothing of the cache ever surfaces."""

    def __init__(self, repository: ResourceRepository, cache: VersionedCache) -> None:
        self._repository = repository
        self._cache = cache
        # What another release wrote in another shape is not found.
        shape = json.dumps(Resource.model_json_schema(), sort_keys=True)
        self._shape = hashlib.sha256(shape.encode()).hexdigest()[:8].encode()

    async def create(self, given: ResourceInput, origin: Origin, key: str | None) -> Resource:
        # Not cached here: most resources are not read within the next minute.
        return await self._repository.create(given, origin, key)

    async def get(self, resource_id: str) -> Entry:
        """The resource's version and JSON, which an answer can have as it is."""
        key = _key(resource_id)
        cached = await self._cache.get(key)
        if cached and cached.body.startswith(self._shape):
            return Entry(cached.version, cached.body[len(self._shape) :])
        found = await self._repository.get(resource_id)
        body = found.model_dump_json().encode()
        await self._cache.put(key, found.version, self._shape + body)
        return Entry(found.version, body)

    async def list(self, before: str | None, limit: int) -> list[Resource]:
        return await self._repository.list(before, limit)

    async def update(
        self, resource_id: str, given: ResourceInput, origin: Origin, expected: int | None
    ) -> Resource:
        async with self._forgetting_if_unsure(resource_id):
            updated = await self._repository.update(resource_id, given, origin, expected)
        await self._cache.invalidate({_key(resource_id): updated.version})
        return updated

    async def delete(self, resource_id: str, origin: Origin, expected: int | None) -> None:
        async with self._forgetting_if_unsure(resource_id):
            version = await self._repository.delete(resource_id, origin, expected)
        await self._cache.invalidate({_key(resource_id): version})

    @contextlib.asynccontextmanager
    async def _forgetting_if_unsure(self, resource_id: str) -> AsyncIterator[None]:
        """A write whose answer got lost may have happened, or happen yet."""
        try:
            yield
        except DatabaseUnavailableError:
            await self._cache.invalidate({_key(resource_id): UNKNOWN_VERSION})
            raise


def _key(resource_id: str) -> str:
    return f"resource:{resource_id}"
