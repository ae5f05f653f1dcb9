"""One load run: seeds, makes the load while observers look, closes the books, adds it all up."""

import os
import resource
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console

from bootstrap.checkout import Checkout, saved_context
from bootstrap.kube import Kube, KubeError
from loadtests.observers.monitoring import monitored
from loadtests.observers.watch import Watch
from loadtests.outcome import Outcome
from loadtests.run.cluster import ClusterError, ClusterGenerator, find
from loadtests.run.intake import Intake
from loadtests.run.plan import Settings, check_addresses, check_open_files
from loadtests.run.preparing import RunFailed, plan_of
from loadtests.run.progress import Progress
from loadtests.run.results import Circumstances, add_up
from loadtests.run.running import Generator
from loadtests.run.subjects import EMPTY_SECONDS, Subject, subject_of
from loadtests.tokens import header_of
from loadtests.values import ValueLedger
from loadtests.verdict.results import Books, Run

CALM_SECONDS = 4.0
"""How long the machine is looked at before the run."""
STOP_SECONDS = 240.0
"""How long users that were told to leave may take, the last answers included."""


@dataclass
class Done:
    """A run that came to its end. With complaints its numbers are not to be trusted."""

    run: Run
    complaints: list[str]
    words: list[str]
    """The last ones of the load generator's log, which holds warnings and worse."""


def perform(checkout: Checkout, chosen: Settings, folder: Path, console: Console) -> Done:
    """Do all of a run; the generator's log goes into the folder.

    Raises:
        RunFailed: the platform does not take documents, or no load could be made.
        ClusterError: the load was to be made on the cluster, and cannot be there.
        KubeError: the cluster or the store could not be asked.
        httpx.HTTPError: the cluster did not answer before the run.
        ValueError: there are more users than addresses, or open files for them.
    """
    kube = Kube(checkout)
    site = find(kube) if chosen.where == "cluster" else None
    plan = plan_of(checkout, chosen, site)
    check_addresses(plan)
    if site is None:
        check_open_files(plan, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    ledger = ValueLedger()
    load_before = os.getloadavg()[0]
    subject = subject_of(checkout, plan)
    with Watch(kube, plan.way) as watch:
        subject.prepare(watch, ledger, console)
        before = ledger.count(Outcome.ACKED)
        calm_since = time.time()
        time.sleep(CALM_SECONDS)
        cpu_before = watch.processor.mean(calm_since, time.time())
        watch.begin()
        intake = Intake(plan, ledger)
        log = folder / "generator.log"
        shown = partial(header_of, checkout)
        made = (
            Generator(plan, intake.take, log, shown=shown)
            if site is None
            else ClusterGenerator(
                kube, site, plan, intake.take, log=log, console=console, shown=shown
            )
        )
        interrupted = _make_load(made, Progress(console, plan, intake, watch.services), console)
        words = made.last_words()
        if not len(intake.samples):
            raise RunFailed(f"no request was made; the load generator says: {' | '.join(words)}")
        console.print("the last answer is in; waiting until all that was accepted is stored")
        books, complaints = _end(subject, ledger, before, watch, console)
    stack = str(saved_context(checkout.state).get("stack", ""))
    seen = monitored(kube, intake.began, intake.last_answer)
    around = Circumstances(checkout.root, stack, load_before, cpu_before, seen)
    run = add_up(plan, intake, watch, books, around)
    complaints += [*made.complaints(), *intake.complaints()]
    if interrupted:
        complaints.append("the run was cut short: what it reached until then is no result")
    return Done(run, complaints, words)


def _make_load(made: Generator | ClusterGenerator, progress: Progress, console: Console) -> bool:
    """The load itself: whether it was interrupted."""
    interrupted = False
    with made as generator, progress:
        try:
            while not generator.ended(1.0):
                generator.hand_on()
                progress.tick()
        except KeyboardInterrupt:
            interrupted = True
            console.print("interrupted: the users leave, then the ledger is closed all the same")
            generator.stop()
            generator.ended(STOP_SECONDS)
    return interrupted


def _end(
    subject: Subject, ledger: ValueLedger, before: int, watch: Watch, console: Console
) -> tuple[Books | None, list[str]]:
    """The books, and what went wrong with them: the run is worth its report all the same.

    ``before``: how many writes were acknowledged before the run's own.
    """
    try:
        emptied = watch.end(EMPTY_SECONDS)
        return _close(subject, ledger, before, emptied, console), watch.complaints()
    except KubeError as error:
        return None, [*watch.complaints(), f"the ledger could not be closed: {error}"]


def _close(
    subject: Subject, ledger: ValueLedger, before: int, emptied: float | None, console: Console
) -> Books:
    began = time.monotonic()
    found, emptied = subject.close(ledger, emptied)
    took = time.monotonic() - began
    console.print(
        f"the ledger of {len(ledger.accounts):,} keys is closed, in {took:.1f} s",
        highlight=False,
    )
    return Books(
        acknowledged=ledger.count(Outcome.ACKED) - before,
        documents=ledger.acknowledged_keys,
        refused=ledger.count(Outcome.REFUSED),
        unknown=ledger.count(Outcome.UNKNOWN),
        seconds_to_empty=emptied,
        missing=found.missing,
        stale=found.stale,
        never_written=found.never_written,
        examples=found.examples,
    )


FAILURES = (RunFailed, ClusterError, httpx.HTTPError)
"""What keeps a run from coming to its end, beside what bootstrap itself raises."""
