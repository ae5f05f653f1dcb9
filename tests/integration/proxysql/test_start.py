"""A proxy as the cluster starts it: who gets in, and who never does."""

from __future__ import annotations

from tests.integration.proxysql.conftest import Platform


async def test_it_routes(platform: Platform) -> None:
    assert await platform.ask("SELECT name FROM node") == [{"name": "replica"}]
    assert await platform.ask("SELECT /* writer */ name FROM node") == [{"name": "source"}]
