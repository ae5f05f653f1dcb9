"""Steps that overlap: each runs as soon as what it needs is done, and shows what it is doing.

A step's programs write to the step's own log file, whose path is shown when it fails.
"""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TAIL_LINES = 12


class StepFailed(Exception):
    """A step could not be done; the text says what happened, why, and the way out."""


@dataclass
class Report:
    """What a running step tells the outside: a line of status, a fraction, and a log file."""

    name: str
    log_path: Path
    status: str = "waiting"
    done: float | None = None
    total: float | None = None
    started: float | None = None
    finished: float | None = None
    error: BaseException | None = None
    process: "subprocess.Popen[str] | None" = None
    stopped: bool = False

    def say(self, status: str) -> None:
        """Show one line of status, and keep it in the log."""
        self.status = status
        with self.log_path.open("a") as log:
            log.write(f"--- {status}\n")

    def progress(self, done: float, total: float) -> None:
        """Show how far the step is, in any unit."""
        self.done, self.total = done, total

    def stop(self) -> None:
        """End the program that this step runs now, if any; no further one starts."""
        self.stopped = True
        if (process := self.process) is not None:
            process.terminate()

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: IO[bytes] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        """Run a program, its output going to the step's log line by line.

        Raises:
            StepFailed: it exited with another code than 0; the text ends in its last lines.
        """
        shown = " ".join(str(part) for part in command)
        if self.stopped:
            raise StepFailed(f"not started, since another step failed: {shown[:200]}")
        tail: list[str] = []
        with self.log_path.open("a") as log:
            log.write(f"$ {shown}\n")
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env=dict(env) if env is not None else None,
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self.process = process
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    tail = [*tail[-TAIL_LINES + 1 :], line.rstrip()]
                    if on_line is not None:
                        on_line(line.rstrip())
                code = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            finally:
                self.process = None
        if code != 0:
            lines = "\n".join(f"    {line}" for line in tail)
            raise StepFailed(f"{shown[:200]}\n  ended with exit code {code}:\n{lines}")


@dataclass(frozen=True)
class Step:
    """One unit of work: ``run`` does it, after every step in ``needs``.

    ``is_done`` answers quickly whether there is nothing to do (a second run takes seconds).
    """

    name: str
    run: Callable[[Report], None]
    needs: tuple[str, ...] = ()
    is_done: Callable[[], bool] = lambda: False


def _perform(step: Step, report: Report) -> None:
    report.started = time.monotonic()
    try:
        if step.is_done():
            report.status = "already there"
        else:
            report.say("starting")
            step.run(report)
            report.status = "done"
    except BaseException as error:
        report.error = error
        report.status = "failed"
        raise
    finally:
        report.finished = time.monotonic()


class _Run:
    """One run of steps: what waits, what runs, what is finished, what failed first."""

    def __init__(self, steps: Sequence[Step], reports: Mapping[str, Report]) -> None:
        known = {step.name for step in steps}
        for step in steps:
            if missing := set(step.needs) - known:
                raise ValueError(f"step {step.name!r} needs {sorted(missing)}, which none provides")
        self.reports = reports
        self.waiting = {step.name: step for step in steps}
        self.running: dict[Future[None], str] = {}
        self.finished: set[str] = set()
        self.failed: tuple[str, BaseException] | None = None

    def start_ready(self, pool: ThreadPoolExecutor) -> None:
        if self.failed is not None:
            return
        for step in list(self.waiting.values()):
            if self.finished.issuperset(step.needs):
                del self.waiting[step.name]
                future = pool.submit(_perform, step, self.reports[step.name])
                self.running[future] = step.name

    def collect(self) -> None:
        """Wait for at least one running step to end, and take note of how."""
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            name = self.running.pop(future)
            error = future.exception()
            if error is None:
                self.finished.add(name)
            elif self.failed is None:
                self.failed = (name, error)
                self.stop()

    def stop(self) -> None:
        for report in self.reports.values():
            report.stop()


def run_steps(steps: Sequence[Step], reports: Mapping[str, Report], workers: int) -> None:
    """Run all steps, as parallel as their needs allow, at most ``workers`` at once.

    After a failure nothing new starts; what runs is stopped.

    Raises:
        StepFailed: the first step that failed, with its log's path.
        ValueError: a step needs one that does not exist, or steps need each other in a circle.
    """
    run = _Run(steps, reports)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            run.start_ready(pool)
            while run.running:
                run.collect()
                run.start_ready(pool)
        except BaseException:
            run.stop()
            raise
    if run.failed is not None:
        name, error = run.failed
        raise StepFailed(f"{name}: {error}\n  log: {reports[name].log_path}") from error
    if run.waiting:
        raise ValueError(f"steps need each other in a circle: {sorted(run.waiting)}")
