"""What the program asks of provisioning and migrations is there."""

from infra.model.records import RECORDS
from infra.model.servers import DATABASE_ENGINES
from services.migrate.engines import ENGINES as MIGRATED
from services.provision.engines import ENGINES as PROVISIONED


def test_every_server_that_holds_accounts_of_its_own_has_an_engine():
    engines = {server.engine for server in RECORDS.servers}
    # A ProxySQL has none of its own: it is followed until it knows those of its server.
    assert engines == set(PROVISIONED) - {"proxysql"}


def test_every_server_with_databases_has_an_engine_for_their_migrations():
    used = {s.engine for s in RECORDS.servers if RECORDS.databases(server=s.name)}
    assert used == set(MIGRATED) == set(DATABASE_ENGINES)
