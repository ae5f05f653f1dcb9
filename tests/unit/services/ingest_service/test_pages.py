"""Pages of the list, by a clock of the test and a database that counts."""

import asyncio
import json

import pytest

from services.ingest_service.pages import Pages
from services.ingest_service.settings import IngestSettings
from services.ingest_service.store import Store
from services.shared.postgres.database import DatabaseUnavailableError

SETTINGS = IngestSettings(page_seconds=1, page_stale_seconds=60)


class Counting(Store):
    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def page(self, cursor: str | None, limit: int) -> bytes:
        await asyncio.sleep(0)
        if self.away:
            raise DatabaseUnavailableError("away")
        self.asked += 1
        return f'{{"items":[{{"n":{self.asked}}}],"next_cursor":null}}'.encode()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def shown(pages: Pages, limit: int = 5) -> int:
    return json.loads(await pages.get(None, limit))["items"][0]["n"]


async def test_a_page_is_asked_for_once_by_all_and_again_when_it_is_too_old() -> None:
    store, clock = Counting(), Clock()
    pages = Pages(store, SETTINGS, clock=clock)
    assert await asyncio.gather(*(shown(pages) for _ in range(10))) == [1] * 10
    clock.now += 0.9
    assert await shown(pages) == 1
    clock.now += 0.1
    assert await asyncio.gather(*(shown(pages) for _ in range(10))) == [2] * 10
    assert await shown(pages, limit=6) == 3


async def test_without_the_database_a_page_is_shown_for_a_while() -> None:
    store, clock = Counting(), Clock()
    pages = Pages(store, SETTINGS, clock=clock)
    assert await shown(pages) == 1
    store.away = True
    clock.now += 59
    assert await shown(pages) == 1
    with pytest.raises(DatabaseUnavailableError):
        await shown(pages, limit=6)
    clock.now += 1
    with pytest.raises(DatabaseUnavailableError):
        await shown(pages)
    store.away = False
    assert await shown(pages) == 2


async def test_pages_that_were_not_used_lately_make_room() -> None:
    store = Counting()
    pages = Pages(store, SETTINGS, most_bytes=100, clock=Clock())
    for limit in range(1, 11):
        await shown(pages, limit)
    assert await shown(pages, 10) == 10
    assert await shown(pages, 1) == 11
