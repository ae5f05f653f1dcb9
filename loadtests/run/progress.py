"""How a run is going, while it goes: a live line on a terminal, else a plain one now and then."""

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bootstrap.progress import PLAIN_SECONDS, seconds
from loadtests.observers.services import Services
from loadtests.percentiles import percentile
from loadtests.run.intake import Intake
from loadtests.run.plan import Plan


class Progress:
    """Shows a run until left."""

    def __init__(self, console: Console, plan: Plan, intake: Intake, services: Services) -> None:
        self._console = console
        self._plan = plan
        self._intake = intake
        self._services = services
        self._began = time.monotonic()
        self._said = 0.0
        self._live = Live(console=console, refresh_per_second=1, get_renderable=self._table)

    def __enter__(self) -> "Progress":
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tick(self) -> None:
        """Call it every second or so."""
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= PLAIN_SECONDS:
            self._said = now
            told = "  ".join(f"{name} {shown}" for name, shown in self._numbers())
            self._console.print(told, highlight=False, soft_wrap=True)

    def _numbers(self) -> list[tuple[str, str]]:
        rate, taken = self._intake.recent()
        looks = self._services.looks
        queue = looks[-1].queue if looks else None
        total = self._plan.stages[-1].until
        return [
            ("time", f"{seconds(time.monotonic() - self._began)} of {seconds(total)}"),
            ("users", f"{self._intake.users:,} of {self._plan.users:,}"),
            ("requests", f"{rate:,.0f}/s"),
            ("p50", f"{percentile(taken, 0.5):,.0f} ms" if taken else "-"),
            ("p95", f"{percentile(taken, 0.95):,.0f} ms" if taken else "-"),
            ("failures", f"{self._intake.failures:,}"),
            ("queue", "-" if queue is None else f"{queue:,.0f}"),
        ]

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        numbers = self._numbers()
        for name, _ in numbers:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_row(*(shown for _, shown in numbers))
        return table
