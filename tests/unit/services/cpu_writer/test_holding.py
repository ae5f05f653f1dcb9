from __future__ import annotations

from services.cpu_writer.holding import Holding, Verdict, judge


def of(**reached: int) -> list[Holding[str]]:
    return [Holding(name, 40, at) for name, at in reached.items()]


def test_nobody_waits_while_there_is_room() -> None:
    assert judge(of(a=1, b=2), [], 100) == Verdict()


def test_those_furthest_ahead_are_put_back() -> None:
    assert judge(of(a=1, b=3, c=2), [], 100) == Verdict(put_back=["b", "c"])


def test_the_one_furthest_behind_goes_on_alone() -> None:
    found = judge([Holding("a", 200, 1), Holding("b", 5, 2)], [], 100)
    assert found == Verdict(put_back=["b"], full=True)


def test_who_waits_goes_on_when_it_is_behind_all_others() -> None:
    assert judge(of(a=5, b=5), of(c=4), 100) == Verdict(go_on=["c"])
    assert judge(of(a=5, b=5), of(c=5), 100) == Verdict()


def test_who_waits_goes_on_when_there_is_room_for_what_it_held() -> None:
    assert judge([Holding("a", 30, 1)], of(c=4), 100) == Verdict(go_on=["c"])
    assert judge([], of(b=9, c=4), 10) == Verdict(go_on=["c"])


def test_with_a_bound_that_holds_one_partition_all_come_to_the_end() -> None:
    held, reached, waits = dict.fromkeys("abc", 0), dict.fromkeys("abc", 0), dict[str, int]()
    for _ in range(2000):
        running = [Holding(n, held[n], reached[n]) for n in "abc" if n not in waits]
        waiting = [Holding(n, size, reached[n]) for n, size in waits.items()]
        verdict = judge(running, waiting, 100)
        assert not verdict.full
        for name in verdict.put_back:
            waits[name], held[name] = held[name], 0
        for name in verdict.go_on:
            del waits[name]
        for name, size in held.items():
            if name not in waits:
                held[name] = size + 10
                if size >= 50:  # a window is over
                    held[name] -= 50
                    reached[name] += 1
    assert min(reached.values()) > 20
    assert max(reached.values()) - min(reached.values()) < 5
