"""What has to be there before the first user comes: a plan, and documents that everybody reads."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

from bootstrap.checkout import Checkout
from bootstrap.kube import WAY_OUT
from loadtests.documents.client import Document, Documents
from loadtests.exchange import RequestFailed
from loadtests.observers.services import CACHES, Services
from loadtests.outcome import Outcome
from loadtests.run.plan import Plan, Settings, hot_id
from loadtests.run.pods import Site
from loadtests.traffic import base_url
from loadtests.values import ValueLedger

HOT = 1_000
"""Documents that everybody reads."""
SEED_BATCH = 250
WARMERS = 8
WARM_SECONDS = 30.0
"""Others may write and read, too: then there is no moment without them to wait for."""


class RunFailed(Exception):
    """There is nothing to be judged; the text is a sentence with the way out."""


def plan_of(checkout: Checkout, chosen: Settings, site: Site | None = None) -> Plan:
    """What was chosen, for the platform of this checkout; `site`: where pods make the load."""
    run = f"load-{secrets.token_hex(4)}"
    plan = Plan(**chosen.model_dump(), run=run, host="", hot=HOT)
    if site is None:
        return plan.model_copy(update={"host": base_url(checkout, plan.entry)})
    workers = plan.workers if "workers" in chosen.model_fields_set else site.workers
    return plan.model_copy(update={"host": site.entries[plan.entry], "workers": workers})


def seed(client: Documents, plan: Plan, ledger: ValueLedger) -> None:
    """Write what everybody will read. It counts for the ledger, not for the load.

    Raises:
        RunFailed: the platform did not take it.
    """
    text = "x" * 200
    documents = [Document(id=hot_id(plan.run, n), value=1, text=text) for n in range(plan.hot)]
    for first in range(0, plan.hot, SEED_BATCH):
        batch = documents[first : first + SEED_BATCH]
        try:
            client.write_all(batch)
        except RequestFailed as failed:
            raise RunFailed(
                f"{client.way.post} at {plan.host} does not take documents ({failed}); {WAY_OUT}"
            ) from failed
        for document in batch:
            ledger.note(document.id, document.value, Outcome.ACKED)


def warm(client: Documents, plan: Plan, services: Services) -> None:
    """Read it until caches alone answer, as had long been done on a platform that is in use.

    Once is not enough: what was stored just now is still answered by the stream, and then nobody
    has kept it.

    Raises:
        RunFailed: it is not there.
        httpx.HTTPError: the services could not be asked who answered.
    """
    ids = [hot_id(plan.run, number) for number in range(plan.hot)]
    deadline = time.monotonic() + WARM_SECONDS
    with ThreadPoolExecutor(WARMERS) as readers:
        while time.monotonic() < deadline:
            before = services.reads.by_source.copy()
            try:
                for _ in readers.map(client.read, ids):
                    pass
            except RequestFailed as failed:
                what = f"{client.way.get} at {plan.host} fails ({failed})"
                raise RunFailed(f"{what}; {WAY_OUT}") from failed
            services.look()
            answered = services.reads.by_source - before
            if answered.keys() <= CACHES:
                return
