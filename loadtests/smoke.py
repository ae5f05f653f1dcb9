"""``make smoke``: does the running platform do its one job, seen from outside?

Creates, updates, reads, lists and deletes resources over the published port, then looks for
exactly one row per event in ``workerdb.processed_events``, in order per resource, and for the task
of each event with the rows of its own. Then writes and reads documents, both ways, and looks for
them in their store; and sends points and reads them.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field

import httpx
from rich.console import Console
from rich.table import Table

from bootstrap.checkout import Checkout
from bootstrap.kube import WAY_OUT, Kube, KubeError
from loadtests import arrivals, tasks, tokens, traffic
from loadtests.documents import closing
from loadtests.documents.client import Document
from loadtests.documents.over_httpx import documents_of
from loadtests.documents.ways import ASYNC, SYNC, Way
from loadtests.exchange import RequestFailed
from loadtests.ledger import Ledger, Verdict
from loadtests.outcome import Outcome
from loadtests.percentiles import in_milliseconds
from loadtests.telemetry import smoke as points
from loadtests.values import ValueLedger

RESOURCES_MADE = 20
UPDATES = 3
CONCURRENCY = 5
DOCUMENTS_MADE = 20
ARRIVAL_SECONDS = 60.0


class SmokeFailed(Exception):
    """The platform does not do what it should; the text is one clear sentence."""


@dataclass
class Reads:
    """Seconds that each read took, by kind."""

    taken: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, kind: str, since: float) -> None:
        self.taken.setdefault(kind, []).append(time.time() - since)


async def check_health(http: httpx.AsyncClient) -> None:
    """Raises SmokeFailed unless rest-service answers that it is ready."""
    for path in ("/health", "/ready"):
        try:
            response = await http.get(path)
        except httpx.HTTPError as error:
            raise SmokeFailed(
                f"nothing answers at {http.base_url} ({type(error).__name__}); "
                f"{WAY_OUT}, `make status` shows what runs"
            ) from error
        if response.status_code != 200:
            raise SmokeFailed(
                f"{path} answers {response.status_code} ({response.text[:200]}); "
                "`make status` shows what runs"
            )


async def read_back(http: httpx.AsyncClient, ids: list[str], names: str, reads: Reads) -> None:
    """Every resource answers with its last update, and the list holds them all."""
    for resource_id in ids:
        since = time.time()
        response = await http.get(f"{traffic.RESOURCES}/{resource_id}")
        reads.add("read", since)
        if response.status_code != 200:
            raise SmokeFailed(f"reading {resource_id} answers {response.status_code}, not 200")
        body = response.json()
        if not str(body["description"]).endswith(f"-update-{UPDATES - 1}"):
            raise SmokeFailed(
                f"reading {resource_id} gives description {body['description']!r}, "
                f"not that of its last update (a stale cache?)"
            )
    since = time.time()
    listed = await list_all(http, names)
    reads.add("list", since)
    if missing := set(ids) - listed:
        raise SmokeFailed(f"the list lacks {len(missing)} of {len(ids)} resources just made")


async def list_all(http: httpx.AsyncClient, prefix: str) -> set[str]:
    """Ids of the listed resources whose name starts with ``prefix``.

    The list is newest first, so this follows the pages until one holds none of ours.
    """
    found: set[str] = set()
    cursor: str | None = None
    while True:
        params = {"limit": "200"} if cursor is None else {"limit": "200", "cursor": cursor}
        response = await http.get(traffic.RESOURCES, params=params)
        if response.status_code != 200:
            raise SmokeFailed(f"the list answers {response.status_code}: {response.text[:200]}")
        page = response.json()
        ours = {item["id"] for item in page["items"] if item["name"].startswith(prefix)}
        found |= ours
        cursor = page["next_cursor"]
        if cursor is None or (found and not ours):
            return found


async def write_and_read(checkout: Checkout, prefix: str, ledger: Ledger, reads: Reads) -> None:
    """The whole client side: create and update, read and list, delete, and read again."""
    async with traffic.client(checkout) as http:
        await check_health(http)
        writer = traffic.Traffic(http, ledger)
        stream = traffic.Stream(prefix, RESOURCES_MADE, UPDATES, False, CONCURRENCY)
        await writer.run(stream)
        _require_all_acked(ledger)
        await read_back(http, writer.ids, prefix, reads)
        # The second half stays, so that a look at the list afterwards shows something.
        for resource_id in writer.ids[: RESOURCES_MADE // 2]:
            await writer.delete(resource_id, f"{prefix}-delete-{resource_id}")
            response = await http.get(f"{traffic.RESOURCES}/{resource_id}")
            if response.status_code != 404:
                raise SmokeFailed(
                    f"{resource_id} was deleted and reading it answers {response.status_code}"
                )
        _require_all_acked(ledger)


def _require_all_acked(ledger: Ledger) -> None:
    bad = [write for write in ledger.writes if write.outcome is not Outcome.ACKED]
    if bad:
        raise SmokeFailed(
            f"{len(bad)} of {len(ledger.writes)} writes were not acknowledged; the first: "
            f"{bad[0].kind} answered {bad[0].answer}"
        )


def documents_are_stored(checkout: Checkout, kube: Kube, prefix: str, way: Way) -> None:
    """A few documents in, read back at once, and in the store with what was acknowledged."""
    ids = f"{prefix}-{way.target}"
    given = [Document(id=f"{ids}-{number}", value=1) for number in range(DOCUMENTS_MADE)]
    ledger = ValueLedger()
    try:
        with documents_of(checkout, way) as documents:
            documents.write_all(given)
            for document in given:
                ledger.note(document.id, document.value, Outcome.ACKED)
                documents.read_back(document)
    except RequestFailed as failed:
        raise SmokeFailed(f"{way.path} does not give documents back: {failed}") from failed
    left = closing.close(kube, ids, ledger, way, ARRIVAL_SECONDS)
    if not left.balanced:
        raise SmokeFailed(
            f"after {ARRIVAL_SECONDS:.0f} s {len(given)} documents that {way.path} acknowledged "
            f"are not what the store holds: {'; '.join(left.examples)}"
        )


def points_are_stored(checkout: Checkout, kube: Kube, prefix: str) -> points.Seen:
    """Points in, and read from the source and from a copy with what was acknowledged."""
    try:
        seen, left = points.send_and_read(checkout, kube, prefix, ARRIVAL_SECONDS)
    except RequestFailed as failed:
        raise SmokeFailed(f"points are not taken, or not given back: {failed}") from failed
    if not left.balanced:
        raise SmokeFailed(f"points are not stored as acknowledged: {'; '.join(left.examples)}")
    return seen


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("step")
    for heading in ("done", "p50", "p95"):
        table.add_column(heading, justify="right")
    return table


def show(
    console: Console, ledger: Ledger, reads: Reads, verdict: Verdict, of_tasks: Verdict
) -> None:
    """The table of what was done and the latency from POST to processed, and to the task's end."""
    table = _table("smoke: published port to processed row")
    for kind in ("create", "update", "delete"):
        writes = [write for write in ledger.acked() if write.kind == kind]
        taken = [w.answered_at - w.sent_at for w in writes if w.answered_at is not None]
        table.add_row(f"{kind} (answer)", *in_milliseconds(taken))
    for kind, taken in reads.taken.items():
        table.add_row(f"{kind} (answer)", *in_milliseconds(taken))
    table.add_section()
    table.add_row("POST to processed", *in_milliseconds(verdict.latencies))
    table.add_row("POST to its task's end processed", *in_milliseconds(of_tasks.latencies))
    console.print(table)
    console.print(
        "to processed: processed_at in workerdb minus the client's time of sending, "
        "both on this machine's clock.",
        style="dim",
    )


def smoke(checkout: Checkout, console: Console) -> None:
    """Run the whole check and print its table.

    Raises:
        SmokeFailed: something is not as it should be.
        KubeError: the rows could not be read.
    """
    kube = Kube(checkout)
    prefix = f"smoke-{secrets.token_hex(4)}"
    ledger, reads = Ledger(), Reads()
    after = arrivals.last_seq(kube)
    asyncio.run(write_and_read(checkout, prefix, ledger, reads))
    arrivals.wait_for_all(kube, ledger, prefix, after, seconds=ARRIVAL_SECONDS)
    rows, found = arrivals.wait_for_tasks(kube, prefix, after, seconds=ARRIVAL_SECONDS)
    verdict, of_tasks = ledger.check(rows), tasks.check(ledger, rows, found)
    show(console, ledger, reads, verdict, of_tasks)
    wrong = {
        "events in workerdb.processed_events are not what was written": verdict.explain(),
        "tasks, or their rows there, are not those of the events": of_tasks.explain(),
    }
    for what, explained in wrong.items():
        if explained:
            raise SmokeFailed(f"after {ARRIVAL_SECONDS:.0f} s the {what}:\n{explained}")
    for way in (ASYNC, SYNC):
        documents_are_stored(checkout, kube, prefix, way)
    table = _table("smoke: points of devices")
    for what, taken in points_are_stored(checkout, kube, prefix).rows.items():
        table.add_row(what, *in_milliseconds(taken))
    console.print(table)
    console.print(
        f"[green]ok[/green]: {verdict.acked} writes acknowledged, {verdict.arrived} events "
        f"processed exactly once, in order for each of {RESOURCES_MADE} resources, "
        f"{of_tasks.arrived} tasks of them run; "
        f"{DOCUMENTS_MADE} documents stored from {ASYNC.path}, and as many from {SYNC.path}; "
        f"{points.DEVICES * points.POINTS} points of {points.DEVICES} devices stored"
    )


def run(checkout: Checkout, console: Console) -> bool:
    """The command: False, after a sentence that says why, if anything is not as it should be."""
    try:
        with tokens.session(checkout):
            smoke(checkout, console)
    except (SmokeFailed, KubeError) as error:
        console.print("[red]smoke failed:[/red]", end=" ", highlight=False)
        way_out = f"; {WAY_OUT}" if isinstance(error, KubeError) else ""
        console.print(f"{error}{way_out}", markup=False, highlight=False, soft_wrap=True)
        return False
    return True
