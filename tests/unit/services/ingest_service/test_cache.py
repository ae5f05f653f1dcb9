"""The cache in the process, by a clock of the test."""

from services.ingest_service.cache import LocalCache


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_document_is_found_behind_its_own_fence_only() -> None:
    cache = LocalCache()
    cache.put("a", b"1-0", b"old")
    assert cache.get("a", b"1-0") == b"old"
    assert cache.get("a", b"2-0") is None
    cache.put("a", b"2-0", b"new")
    assert cache.get("a", b"2-0") == b"new"
    cache.put("a", b"1-0", b"old")  # late; what it replaces is only lost
    assert cache.get("a", b"2-0") is None


def test_a_document_is_forgotten_after_a_while() -> None:
    clock = Clock()
    cache = LocalCache(seconds=5, clock=clock)
    cache.put("a", b"f", b"x")
    clock.now += 4.9
    assert cache.get("a", b"f") == b"x"
    clock.now += 0.1
    assert cache.get("a", b"f") is None


def test_the_least_recently_used_go_first_and_a_large_one_is_not_kept() -> None:
    cache = LocalCache(most_bytes=100_000)
    for name in "abcdef":
        cache.put(name, b"f", b"x" * 1000)
    assert cache.get("a", b"f") is not None
    for number in range(64):
        cache.put(f"n{number}", b"f", b"x" * 1000)
        cache.get("a", b"f")
    assert cache.get("a", b"f") is not None
    assert cache.get("b", b"f") is None
    assert cache.get("n63", b"f") is not None
    cache.put("large", b"f", b"x" * 2000)
    assert cache.get("large", b"f") is None
