"""A creation with an Idempotency-Key happens once, however often and wherever it is sent."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import asyncpg
import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.rest_service.models import Resource, ResourceInput
from services.rest_service.repository import ResourceRepository
from services.rest_service.upkeep import forget_keys
from services.shared.outbox.events import Origin, Outbox
from services.shared.postgres.database import Database, DatabaseUnavailableError, connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.rest_service.conftest import (
    PATH,
    PATIENT,
    LossyDatabase,
    Process,
    Rest,
    waiting,
)
from tests.integration.servers import PostgresServer, eventually

KEY = {"idempotency-key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
BODY = {"name": "once", "description": "text", "status": "pending"}
ORIGIN = Origin("correlation", "traceparent")


def assert_same(answer: httpx.Response, first: httpx.Response) -> None:
    assert answer.status_code == first.status_code == 201, answer.text
    assert answer.json() == first.json()
    for name in ("etag", "location"):
        assert answer.headers[name] == first.headers[name]


async def counts(rest: Rest) -> tuple[int, int]:
    """Resources that were ever created, and keys that are remembered."""
    created = await rest.rows("SELECT 1 FROM outbox_events WHERE event_type = 'resource.created'")
    return len(created), len(await rest.rows("SELECT 1 FROM idempotency_keys"))


async def test_the_same_request_again_gets_the_same_answer_and_creates_nothing(rest: Rest) -> None:
    first = await rest.http.post(PATH, json=BODY, headers=KEY)
    for _ in range(3):
        assert_same(await rest.http.post(PATH, json=BODY, headers=KEY), first)
    bare = {"idempotency-key": KEY["idempotency-key"].strip('"')}
    assert_same(await rest.http.post(PATH, json=BODY, headers=bare), first)
    assert len(await rest.rows("SELECT 1 FROM resources")) == 1
    assert await counts(rest) == (1, 1)


async def test_the_answer_stays_the_first_one_whatever_becomes_of_the_resource(rest: Rest) -> None:
    first = await rest.http.post(PATH, json=BODY, headers=KEY)
    path = first.headers["location"]
    await rest.http.put(path, json={"name": "changed"})
    assert_same(await rest.http.post(PATH, json=BODY, headers=KEY), first)
    await rest.http.delete(path)
    assert_same(await rest.http.post(PATH, json=BODY, headers=KEY), first)
    assert (await rest.http.get(path)).status_code == 404
    assert await counts(rest) == (1, 1)


@pytest.mark.parametrize(
    "other", [{"name": "other"}, {"description": None}, {"status": "active"}], ids=str
)
async def test_a_key_with_other_content_is_422_and_changes_nothing(
    rest: Rest, other: dict[str, Any]
) -> None:
    first = await rest.http.post(PATH, json=BODY, headers=KEY)
    refused = await rest.http.post(PATH, json=BODY | other, headers=KEY)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:millrace:problem:idempotency-key-reused"
    assert await counts(rest) == (1, 1)
    assert_same(await rest.http.post(PATH, json=BODY, headers=KEY), first)


async def test_a_refused_request_does_not_use_its_key_up(rest: Rest) -> None:
    assert (await rest.http.post(PATH, json={"name": ""}, headers=KEY)).status_code == 422
    assert (await rest.http.post(PATH, json=BODY, headers=KEY)).status_code == 201


async def test_racing_requests_in_two_processes_create_one_resource(
    rest: Rest, process: Process
) -> None:
    answers = await asyncio.gather(
        *(
            client.post(PATH, json=BODY, headers=KEY)
            for _ in range(20)
            for client in (rest.http, process.http)
        )
    )
    for answer in answers:
        assert_same(answer, answers[0])
    assert await counts(rest) == (1, 1)


class HeldDatabase:
    """Runs everything in one transaction that the test ends."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        return await self._connection.fetchrow(query, *args)


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_second_request_waits_for_the_first_and_creates_only_what_that_did_not(
    rest: Rest, postgres: PostgresServer, end: str
) -> None:
    connection = await connect(rest.database, "test", connect_timeout=PATIENCE)
    transaction = connection.transaction()
    await transaction.start()
    held = cast(Database, HeldDatabase(connection))
    outbox = Outbox(held, notify_seconds=0)
    first = await ResourceRepository(held, outbox).create(
        ResourceInput.model_validate(BODY), ORIGIN, KEY["idempotency-key"].strip('"')
    )
    second = asyncio.create_task(rest.http.post(PATH, json=BODY, headers=KEY))
    await eventually(lambda: waiting(postgres, rest.database))
    await getattr(transaction, end)()
    answer = await second
    await connection.close()
    assert answer.status_code == 201
    assert (Resource.model_validate(answer.json()) == first) == (end == "commit")
    assert await counts(rest) == (1, 1)


async def test_a_creation_whose_answer_got_lost_is_answered_on_the_second_try(rest: Rest) -> None:
    database = LossyDatabase(rest.database, CollectorRegistry(), application_name="test", **PATIENT)
    await database.open()
    outbox = Outbox(database)
    with pytest.raises(DatabaseUnavailableError):
        await ResourceRepository(database, outbox).create(
            ResourceInput.model_validate(BODY), ORIGIN, KEY["idempotency-key"].strip('"')
        )
    await outbox.close()
    await database.close()
    (stored,) = await rest.rows("SELECT id FROM resources")
    again = await rest.http.post(PATH, json=BODY, headers=KEY)
    assert (again.status_code, again.json()["id"]) == (201, stored["id"])
    assert await counts(rest) == (1, 1)


async def test_a_key_is_not_remembered_when_its_creation_failed(rest: Rest) -> None:
    await rest.rows("ALTER TABLE outbox_events ADD CONSTRAINT none CHECK (attempts > 0) NOT VALID")
    assert (await rest.http.post(PATH, json=BODY, headers=KEY)).status_code == 500
    await rest.rows("ALTER TABLE outbox_events DROP CONSTRAINT none")
    assert await counts(rest) == (0, 0)
    assert (await rest.http.post(PATH, json=BODY, headers=KEY)).status_code == 201


@pytest.mark.parametrize(
    "key", ["a", "x" * 255, '"a"', f'"{"x" * 255}"', '" "', '"!#[]~,;"', "urn:uuid:1/2=+~._-"]
)
async def test_keys_of_every_allowed_form_are_taken(rest: Rest, key: str) -> None:
    answers = [
        await rest.http.post(PATH, json=BODY, headers={"idempotency-key": key}) for _ in range(2)
    ]
    assert_same(answers[1], answers[0])


@pytest.mark.parametrize(
    "keys",
    [
        [""],
        ['""'],
        ["x" * 256],
        [f'"{"x" * 256}"'],
        ["a b"],
        ['"a'],
        ['"a\\"b"'],
        ['"ü"'],
        ["ü"],
        ['"a\tb"'],
        ['"a"; b=c'],
        ["a", "b"],
        ['"a"', '"b"'],
    ],
    ids=str,
)
async def test_a_key_of_another_form_is_400_and_creates_nothing(
    rest: Rest, keys: list[str]
) -> None:
    headers = [(b"idempotency-key", key.encode()) for key in keys]
    answer = await rest.http.post(PATH, json=BODY, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:millrace:problem:bad-idempotency-key"
    assert "Idempotency-Key" in answer.json()["detail"]
    assert await counts(rest) == (0, 0)


AGE = "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE key = $1"


async def test_old_keys_are_forgotten_in_batches_and_newer_ones_kept(rest: Rest) -> None:
    answers: dict[str, httpx.Response] = {}
    for key in ("a", "b", "c", "d", "held", "new"):
        answers[key] = await rest.http.post(PATH, json=BODY, headers={"idempotency-key": key})
        if key != "new":
            await rest.rows(AGE, key)
    database = Database(rest.database, CollectorRegistry(), application_name="test", **PATIENT)
    await database.open()
    busy = await connect(rest.database, "test", connect_timeout=PATIENCE)
    transaction = busy.transaction()
    await transaction.start()
    await busy.execute("SELECT 1 FROM idempotency_keys WHERE key = 'held' FOR UPDATE")
    day = timedelta(hours=24)
    # What a request has in hand is left to the next round.
    assert await forget_keys(database, day, batch=2) == 4
    await transaction.rollback()
    await busy.close()
    assert await forget_keys(database, day, batch=2) == 1
    assert await forget_keys(database, day, batch=2) == 0
    await database.close()
    kept = await rest.http.post(PATH, json=BODY, headers={"idempotency-key": "new"})
    assert_same(kept, answers["new"])
    forgotten = await rest.http.post(PATH, json=BODY, headers={"idempotency-key": "a"})
    assert forgotten.json()["id"] != answers["a"].json()["id"]


@pytest.fixture
async def _old_key(rest: Rest) -> None:
    await rest.http.post(PATH, json=BODY, headers=KEY)
    await rest.rows(AGE, KEY["idempotency-key"].strip('"'))


@pytest.mark.usefixtures("_old_key", "process")
async def test_the_service_forgets_old_keys_by_itself(restdb: DatabaseSettings) -> None:
    async def forgotten() -> bool:
        connection = await connect(restdb, "test", connect_timeout=PATIENCE)
        try:
            return await connection.fetchval("SELECT count(*) FROM idempotency_keys") == 0
        finally:
            await connection.close()

    await eventually(forgotten)
