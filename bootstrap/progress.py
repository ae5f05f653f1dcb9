"""The live table of running steps, and a plain line per change where nobody watches."""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bootstrap.checkout import Checkout
from bootstrap.steps import Report, Step, run_steps

STATUS_WIDTH = 64
PLAIN_SECONDS = 30.0  # without a terminal: how often a running step says how far it is


def seconds(value: float) -> str:
    """A duration as people read it: ``0.4 s``, ``38 s``, ``4 min 12 s``."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _elapsed(report: Report) -> float:
    if report.started is None:
        return 0.0
    return (report.finished or time.monotonic()) - report.started


def _table(reports: Mapping[str, Report]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", "step", "time", "progress", "now"):
        table.add_column(heading, no_wrap=True)
    for report in reports.values():
        mark = {"done": "✓", "already there": "✓", "failed": "✗", "waiting": "·"}.get(
            report.status, "▶"
        )
        bar: ProgressBar | Text = Text("")
        if report.total and report.finished is None:
            bar = ProgressBar(total=report.total, completed=report.done or 0, width=20)
        shown = seconds(_elapsed(report)) if report.started is not None else ""
        table.add_row(mark, report.name, shown, bar, report.status[:STATUS_WIDTH])
    return table


class Progress:
    """Shows ``reports`` until left: live on a terminal, else a line when a step starts or ends."""

    def __init__(self, reports: Mapping[str, Report], console: Console) -> None:
        self._reports = reports
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)
        self._leaving = threading.Event()
        self._printer = threading.Thread(target=self._print_changes, daemon=True)

    def _render(self) -> Table:
        return _table(self._reports)

    def _print_changes(self) -> None:
        begun: set[str] = set()
        ended: set[str] = set()
        spoken: dict[str, float] = {}
        while True:
            leaving = self._leaving.wait(0.5)
            for name, report in self._reports.items():
                if report.started is not None and name not in begun:
                    begun.add(name)
                    spoken[name] = time.monotonic()
                    self._console.print(f"▶ {name}", highlight=False)
                if report.finished is not None and name not in ended:
                    ended.add(name)
                    took = seconds(_elapsed(report))
                    self._console.print(f"  {name}: {report.status} ({took})", highlight=False)
                elif name in begun - ended and time.monotonic() - spoken[name] >= PLAIN_SECONDS:
                    spoken[name] = time.monotonic()
                    share = (
                        f"{100 * (report.done or 0) / report.total:.0f} %, " if report.total else ""
                    )
                    now = f"{share}{seconds(_elapsed(report))}: {report.status[:STATUS_WIDTH]}"
                    self._console.print(f"  … {name}: {now}", highlight=False)
            if leaving:
                return

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        else:
            self._printer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._leaving.set()
            self._printer.join()


def perform(checkout: Checkout, steps: Sequence[Step], workers: int = 6) -> dict[str, Report]:
    """Run ``steps`` with progress shown on standard error; the reports tell what took how long.

    Raises:
        StepFailed: as ``run_steps``.
    """
    checkout.make_state()
    reports = {
        step.name: Report(step.name, checkout.logs / f"{step.name.replace(': ', '-')}.log")
        for step in steps
    }
    for report in reports.values():
        report.log_path.write_text("")
    with Progress(reports, Console(file=sys.stderr)):
        run_steps(steps, reports, workers)
    return reports
