"""A topic of which two replicas must have what is acknowledged, and one of them is away."""

import pytest

from services.ingest_service.telemetry import producer
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Containers
from tests.integration.ingest_service.telemetry.conftest import MakeTelemetry, key, keys, point
from tests.integration.kafka_container import TESTER
from tests.integration.outbox_relay.second_broker import THIN, SecondBroker

pytestmark = pytest.mark.timeout(600)  # Java starts five times, and never alone


@pytest.fixture(scope="module")
def second_broker(containers: Containers, authority: Authority) -> SecondBroker:
    made = SecondBroker(containers, authority, name="kafka-points-pair")
    made.set_up()
    return made


async def test_points_that_not_all_in_sync_replicas_have_are_not_acknowledged(
    make_telemetry: MakeTelemetry, second_broker: SecondBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "TELEMETRY_POINTS", THIN)
    server = second_broker.server
    telemetry = await make_telemetry(kafka=server.settings(TESTER), seconds=6)
    await eventually(telemetry.accepts)
    second_broker.kill()
    reader = server.reader([THIN])

    async def outcome_is_unknown() -> bool:
        """It is not while nothing was sent: the look before that may take longer than it has."""
        response = await telemetry.send(*[point(n) for n in range(100)])
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        return response.json()["type"].endswith(":outcome-unknown")

    await eventually(outcome_is_unknown)
    second_broker.start()
    accepted = [point(n) for n in range(500, 1000)]

    async def are_accepted() -> bool:
        return (await telemetry.send(*accepted)).status_code == 202

    await eventually(are_accepted)

    async def there() -> bool:
        await reader.take()
        return {key(one) for one in accepted} <= keys(reader)

    await eventually(there)
    reader.close()
