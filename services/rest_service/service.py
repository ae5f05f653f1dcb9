"""What can be done with resources: the repository decides, the cache only saves it reads."""

from __future__ import annotations

from services.rest_service.cache import ResourceCache
from services.rest_service.models import Resource, ResourceInput
from services.rest_service.repository import Origin, ResourceRepository


class ResourceService:
    """Raises what the repository raises; nothing of the cache ever surfaces."""

    def __init__(self, repository: ResourceRepository, cache: ResourceCache) -> None:
        self._repository = repository
        self._cache = cache

    async def create(self, given: ResourceInput, origin: Origin) -> Resource:
        # Not cached here: most resources are not read within the next minute.
        return await self._repository.create(given, origin)

    async def get(self, resource_id: str) -> Resource:
        cached = await self._cache.get(resource_id)
        if cached:
            return cached
        found = await self._repository.get(resource_id)
        await self._cache.put(found)
        return found

    async def list(self, before: str | None, limit: int) -> list[Resource]:
        return await self._repository.list(before, limit)

    async def update(
        self, resource_id: str, given: ResourceInput, origin: Origin, expected: int | None
    ) -> Resource:
        updated = await self._repository.update(resource_id, given, origin, expected)
        await self._cache.invalidate(resource_id, updated.version)
        return updated

    async def delete(self, resource_id: str, origin: Origin, expected: int | None) -> None:
        version = await self._repository.delete(resource_id, origin, expected)
        await self._cache.invalidate(resource_id, version)
