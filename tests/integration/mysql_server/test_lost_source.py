"""A source whose volume is lost gets the data of a copy, by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from components.servers.mysql import config
from services.shared.mysql.connections import connect
from tests.integration.authority import PATIENCE, eventually
from tests.integration.mysql_server.conftest import Pair

ADOPT = f"{config.CONFIG_PATH}/adopt.sh"
COPY = "client-database-readers-0"


async def test_only_an_empty_source_takes_the_data_of_a_copy(pair: Pair) -> None:
    await pair.following()
    code, said = pair.source.container.ask("bash", ADOPT, COPY)
    assert code == 1
    assert "this server has databases, which would be gone: copied" in said
    code, said = pair.copy.container.ask("bash", ADOPT, COPY)
    assert code == 1
    assert "this is a copy itself" in said


async def test_a_source_that_lost_its_volume_goes_on_with_what_a_copy_has(pair: Pair) -> None:
    account = await pair.source.provision("handed", role="user")
    await pair.write("the last before")
    await pair.arrives("the last before")
    pair.source.container.execute(f"rm -rf {config.DATA_PATH}/data")
    pair.source.container.kill()
    pair.source.container.start()
    await pair.source.wait()
    # The copy takes the empty one for its source, and goes on serving what it has.
    await pair.following()
    assert await pair.newest() == "the last before"
    code, said = pair.source.container.ask("bash", ADOPT, "nobody.invalid")
    assert code == 1
    assert "nobody.invalid" in said
    assert await pair.source.as_admin("SELECT @@offline_mode AS n") == [{"n": 0}]
    async with _copy_that_asks_again_and_again(pair):
        code, said = await asyncio.to_thread(pair.source.container.ask, "bash", ADOPT, COPY)
        assert (code, said.strip()) == (
            0,
            f"the data of {COPY} are here; the server ends and starts with them",
        )
        assert pair.source.container.exit_code() == 0
    await pair.following()  # it was close behind, and serves what it has
    pair.source.container.start()
    await pair.source.wait()
    rows = await pair.source.as_admin("SELECT v FROM t ORDER BY id DESC LIMIT 1", "copied")
    assert rows[0]["v"] == "the last before"
    (await connect(account, "test", connect_timeout=PATIENCE)).close()
    # It is a source: it takes writes, and the copy goes on with its own data and follows.
    await pair.write("the first after")
    await pair.arrives("the first after")
    await pair.following()


async def test_a_copy_that_no_longer_fits_its_source_is_made_anew_from_an_empty_volume(
    pair: Pair,
) -> None:
    await pair.write("for the new copy")
    pair.copy.container.execute(f"rm -rf {config.DATA_PATH}/data")
    pair.copy.container.kill()
    pair.copy.container.start()
    await pair.copy.wait()

    async def there() -> bool:
        return pair.ready() and await pair.newest() == "for the new copy"

    await eventually(there)


@contextlib.asynccontextmanager
async def _copy_that_asks_again_and_again(pair: Pair) -> AsyncIterator[None]:
    """Whatever its source does just now, for it loses its connection all the time."""

    async def interrupt() -> None:
        while True:
            with contextlib.suppress(Exception):  # the source ends meanwhile
                await pair.disconnect()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(interrupt())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
