"""kill -9 of the database of clients while some are registered and others ask for tokens."""

import base64
import threading
import time
from collections import Counter

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import tokens
from loadtests.traffic import base_url
from services.contracts.scopes import CLIENTS_ADMIN, DATA_READ
from tests.e2e.cluster import (
    kill_minus_9,
    patiently,
    pods_of,
    replace_restarted,
    restarts,
    wait_for,
    wait_for_restart,
)
from tests.e2e.conftest import Say
from tests.e2e.stores import MySQL

CLIENTS = "/oauth/clients"
TOKEN = "/oauth/token"

Answers = Counter[str]


def seen(answer: httpx.Response, answers: Answers) -> httpx.Response:
    """Noted; whoever is told to come back is told when."""
    answers[str(answer.status_code)] += 1
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
    return answer


class Registrar:
    """Registers clients one after the other, and knows which were acknowledged."""

    def __init__(self, http: httpx.Client, administrator: tokens.Tokens, prefix: str) -> None:
        self._http, self._administrator, self._prefix = http, administrator, prefix
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._register, daemon=True)
        self.acknowledged: dict[str, str] = {}
        self.answers = Answers()
        self.error: BaseException | None = None

    def stop(self) -> None:
        self._stop.set()
        self.thread.join(30)
        if self.error is not None:
            raise self.error

    def _register(self) -> None:
        number = 0
        try:
            while not self._stop.wait(0.05):
                number += 1
                self._one(f"{self._prefix}-{number}")
        except BaseException as error:
            self.error = error

    def _one(self, name: str) -> None:
        header = {"Authorization": self._administrator.header()}
        body = {"client_name": name, "scope": DATA_READ}
        try:
            answer = seen(self._http.post(CLIENTS, json=body, headers=header), self.answers)
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
            return
        if answer.status_code == 201:
            made = answer.json()
            self.acknowledged[made["client_id"]] = made["client_secret"]


def ask(http: httpx.Client, client: tuple[str, str], answers: Answers) -> bool:
    """Whether a token was to be had now."""
    form = {"grant_type": "client_credentials"}
    try:
        return seen(http.post(TOKEN, auth=client, data=form), answers).is_success
    except httpx.TransportError as error:
        answers[type(error).__name__] += 1
        return False


@pytest.mark.timeout(480)
def test_kill_9_of_mysql_loses_no_acknowledged_client_and_tokens_go_on_by_themselves(
    checkout: Checkout, kube: Kube, prefix: str, say: Say, settled: None
) -> None:
    replace_restarted(kube, ("data", "client-database"))
    before = restarts(kube, "apps", "auth-service")
    stored = kube.json("get", "secret", tokens.SECRET, "-n", "apps")["data"]["password"]
    secret = base64.b64decode(stored).decode()
    url = base_url(checkout, "auth")
    with httpx.Client(base_url=url, timeout=15, trust_env=False) as http:
        administrator = tokens.Tokens(http, tokens.ADMINISTRATOR, secret, (CLIENTS_ADMIN,))
        writing = Registrar(http, administrator, prefix)
        writing.thread.start()
        wait_for("clients", lambda: len(writing.acknowledged) >= 20, seconds=60)
        client = next(iter(writing.acknowledged.items()))
        meanwhile = Answers()
        assert ask(http, client, meanwhile)
        victim = pods_of(kube, "data", "client-database")[0]
        at = kill_minus_9(kube, victim)
        at_kill = len(writing.acknowledged)
        asking, over = threading.Event(), Answers()

        def go_on() -> None:
            while not asking.wait(0.1):
                ask(http, client, over)

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        back = wait_for_restart(kube, "data", victim, seconds=150)
        say(f"kill -9 of client-database-0 at {at_kill} clients: ready after {back - at:.1f} s")
        wait_for("more clients", lambda: len(writing.acknowledged) >= at_kill + 5, seconds=60)
        say(f"clients are registered again {time.time() - back:.1f} s later")
        wait_for("a token", lambda: ask(http, client, meanwhile), seconds=60)
        asking.set()
        thread.join(30)
        writing.stop()
        say(f"registrations: {dict(writing.answers)}; tokens meanwhile: {dict(over)}")
        for answers, good in ((writing.answers, "201"), (over, "200")):
            statuses = {status for status in answers if status.isdigit()}
            assert statuses <= {good, "503"}, answers
        assert writing.answers["503"] + writing.answers["ConnectError"], "it was not away"
        store = MySQL(kube)
        found = store.sql(f"SELECT client_id FROM clients WHERE client_name LIKE '{prefix}-%'")
        assert writing.acknowledged.keys() <= set(found.split())
        doubtful = len(found.split()) - len(writing.acknowledged)
        for one in list(writing.acknowledged.items())[at_kill - 3 : at_kill + 3]:
            wait_for(
                "a token: a client's secret is there, too",
                lambda one=one: ask(http, one, meanwhile),
                seconds=60,
            )
        header = {"Authorization": administrator.header()}
        for one in found.split():
            path = f"{CLIENTS}/{one}"
            gone = patiently(lambda path=path: http.delete(path, headers=header))
            assert gone.is_success, gone.text
    say(f"all {len(writing.acknowledged)} acknowledged clients are there, {doubtful} in doubt, too")
    assert restarts(kube, "apps", "auth-service") == before, "liveness must not need the database"
