"""What rest-service's routes would be with nothing behind them: the rival of its benchmark."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI, Response

from services.contracts.ids import new_id
from services.rest_service.models import Resource, ResourceId, ResourceInput

PATH = "/api/v1/resources"


def make() -> FastAPI:
    """An application without middleware, database or cache."""
    app = FastAPI()

    def resource(resource_id: str, given: ResourceInput) -> Resource:
        now = datetime.now(UTC)
        return Resource(
            id=resource_id, **given.model_dump(), version=1, created_at=now, updated_at=now
        )

    @app.get(PATH + "/{resource_id}")
    async def get(resource_id: ResourceId, response: Response) -> Resource:  # pyright: ignore[reportUnusedFunction]
        response.headers["ETag"] = '"1"'
        return resource(resource_id, ResourceInput(name="bare"))

    @app.post(PATH, status_code=201)
    async def create(given: ResourceInput) -> Resource:  # pyright: ignore[reportUnusedFunction]
        return resource(new_id(), given)

    return app
