"""``make dashboard``: the boards as a page, in a file or served."""

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bootstrap.checkout import Checkout, saved_context
from bootstrap.prometheus import AwayError, Grid, Prometheus, QueryError, Where
from infra.model.records import RECORDS, Records
from infra.monitoring.boards import boards
from infra.monitoring.boards.board import NEEDS, Board
from operations import periods
from operations.dashboard.gathering import Gathered, gather
from operations.dashboard.page import Said, render
from operations.dashboard.serving import HOST, Kept, PageServer
from operations.request import RefusedError

Say = Callable[[str], None]

FILE: Final = "build/dashboard.html"
PORT: Final = 30031
"""Where it is served; shifted like all ports of a checkout."""
EVERY: Final = 30
"""Seconds between two looks while it is watched."""
_POINTS: Final = 120
_SHORTEST_STEP: Final = 15
_LONGEST: Final = 90 * 86_400
_SAY_EVERY: Final = 5.0


@dataclass(frozen=True)
class Asked:
    """What is to be shown."""

    span: int
    """Seconds."""
    boards: tuple[Board, ...]
    stack: str


def asked(checkout: Checkout, span: str, board: str, records: Records = RECORDS) -> Asked:
    """Of the options as make hands them on.

    Raises:
        RefusedError: one of them makes no sense; the message says what would.
    """
    # Nothing but the answers says what the stack has: a row of which Prometheus knows nothing
    # says so in its place.
    every = boards(records, has=NEEDS)
    chosen = [one for one in every if board in ("", one.slug)]
    if not chosen:
        names = ", ".join(one.slug for one in every)
        raise RefusedError(f"BOARD={board}: there is no such board; there are: {names}")
    stack = str(saved_context(checkout.state).get("stack", ""))
    return Asked(seconds(span), tuple(chosen), stack)


def seconds(span: str) -> int:
    """Of `15min`, `6h`, `7d`. Raises RefusedError."""
    return periods.seconds("RANGE", span, 5 * 60, _LONGEST)


def port(said: str, checkout: Checkout) -> int:
    """Where it is served: what was said, or the checkout's own. Raises RefusedError."""
    if not said:
        return PORT + checkout.port_offset
    if not said.isdecimal() or not 0 <= int(said) < 65536:
        raise RefusedError(f"PORT={said} is no port; say a number up to 65535, or 0 for any")
    return int(said)


def grid(span: int, now: float) -> Grid:
    """So many moments that a line is smooth; the same ones again however often it is asked."""
    step = max(_SHORTEST_STEP, -(-span // _POINTS // _SHORTEST_STEP) * _SHORTEST_STEP)
    end = int(now) // step * step
    count = span // step + 1
    return Grid(end - step * (count - 1), step, count)


def write(where: Where, asked: Asked, file: Path, say: Say) -> None:
    """Make the page once, into `file`.

    Raises:
        RefusedError: Prometheus is not there, or went away.
    """
    with _connected(where) as prometheus:
        try:
            gathered = _gathered(prometheus, asked)
        except QueryError as error:
            raise RefusedError(f"{where.url} does not say what alerts it has: {error}") from None
        except AwayError as error:
            raise RefusedError(_away(error)) from None
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.new")
    draft.write_text(_page(gathered, asked, None), encoding="utf-8")
    draft.replace(file)
    say(f"{summary(gathered)}\n{file.resolve().as_uri()}")


def watch(where: Where, asked: Asked, port: int, say: Say) -> None:
    """Serve the page until interrupted.

    Raises:
        RefusedError: Prometheus is not there, or the port is taken.
    """
    with _connected(where) as prometheus:
        kept = Kept(lambda: _page(_quietly(prometheus, asked), asked, EVERY), EVERY)
        try:
            prometheus.time()
            serving = PageServer(kept, port)
        except AwayError as error:
            raise RefusedError(_away(error)) from None
        except OSError as error:
            raise RefusedError(
                f"port {port} of {HOST} is taken ({error.strerror}); another `make dashboard "
                "WATCH=1` may run, and PORT=… is another port"
            ) from None
        with serving:
            say(f"http://{HOST}:{serving.server_port}/ until Ctrl-C; asked only while it is seen")
            serving.serve_forever()


def summary(gathered: Gathered) -> str:
    """One line: how much there is, and what not."""
    pictures = [one for sheet in gathered.sheets for one in sheet.pictures()]
    empty = sum(not one.series and not one.problem for one in pictures)
    failed = sum(bool(one.problem) for one in pictures)
    # What nobody is told of (severity none) is for machines.
    firing = sum(one.labels.get("severity") != "none" for one in gathered.firing)
    return (
        f"{len(gathered.sheets)} boards, {len(pictures)} panels: {empty} without a value, {failed} "
        f"that could not be asked; {firing} alert{'' if firing == 1 else 's'} firing"
    )


@contextmanager
def _connected(where: Where) -> Generator[Prometheus]:
    with where.client() as http:
        yield Prometheus(http)


def _page(gathered: Gathered, asked: Asked, refresh: int | None) -> str:
    known: Sequence[str] = RECORDS.service_names
    return render(gathered, Said(asked.stack, refresh), known)


def _gathered(prometheus: Prometheus, asked: Asked) -> Gathered:
    at = grid(asked.span, prometheus.time())
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        return gather(prometheus, asked.boards, at, _Lines(console))
    columns = (TextColumn("asking Prometheus"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as shown:
        task = shown.add_task("")
        return gather(
            prometheus,
            asked.boards,
            at,
            lambda done, total: shown.update(task, completed=done, total=total),
        )


def _quietly(prometheus: Prometheus, asked: Asked) -> Gathered:
    at = grid(asked.span, prometheus.time())
    return gather(prometheus, asked.boards, at, lambda _done, _total: None)


class _Lines:
    """A line now and then, where nobody watches."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._said >= _SAY_EVERY:
            self._said = time.monotonic()
            self._console.print(f"asked {done} of {total} queries", highlight=False)


def _away(error: AwayError) -> str:
    return (
        f"{error}. `make status` says whether the platform and its monitoring are up; "
        "PROMETHEUS=http://… is another address"
    )
