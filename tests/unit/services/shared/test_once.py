"""Loads that several wait for."""

import asyncio

import pytest

from services.shared.runtime.once import Once


class Loads:
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.go_on = asyncio.Event()

    async def load(self, key: str) -> str:
        self.keys.append(key)
        number = len(self.keys)
        await self.go_on.wait()
        if key == "bad":
            raise KeyError(key)
        return f"{key} {number}"


async def test_who_asks_meanwhile_gets_the_same_and_who_asks_later_a_new_one() -> None:
    loads = Loads()
    once = Once(loads.load)
    asked = [asyncio.create_task(once.get(key)) for key in "aab"]
    await asyncio.sleep(0)
    loads.go_on.set()
    assert await asyncio.gather(*asked) == ["a 1", "a 1", "b 2"]
    assert await once.get("a") == "a 3"
    assert loads.keys == ["a", "b", "a"]


async def test_who_leaves_disturbs_nobody_and_a_failure_is_everybodys_once() -> None:
    loads = Loads()
    once = Once(loads.load)
    leaving, staying = (asyncio.create_task(once.get("bad")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    loads.go_on.set()
    with pytest.raises(KeyError):
        await staying
    with pytest.raises(KeyError):
        await once.get("bad")
    assert loads.keys == ["bad", "bad"]
