"""Servers and proxies for a whole run, where an image of ProxySQL is given."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.authority import Authority
from tests.integration.containers import Containers
from tests.integration.proxysql_container import VARIABLE, given_image
from tests.integration.proxysql_platform import DATABASE, Platform, opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if given_image() is None:
        reason = f"{VARIABLE} names no image of ProxySQL"
        for item in items:
            if "tests/integration/proxysql/" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
async def platform(containers: Containers, authority: Authority) -> AsyncIterator[Platform]:
    async with opened(containers, authority) as made:
        yield made


@pytest.fixture
async def healthy(platform: Platform) -> AsyncIterator[Platform]:
    """For tests that stop what is in it: all of it runs again afterwards, whatever they did."""
    yield platform
    for server in (platform.source, platform.replica):
        server.container.unpause()
        server.container.start()
        await server.wait()
    for proxy in platform.proxies:
        if not proxy.container.running():
            proxy.container.start()
        await proxy.wait()
        await platform.whole(proxy)


@pytest.fixture(autouse=True)
async def _nothing_left(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    yield
    if "platform" in request.fixturenames:
        platform: Platform = request.getfixturevalue("platform")
        await platform.source.as_admin("DELETE FROM t", DATABASE)
