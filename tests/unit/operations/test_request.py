"""What an operator may ask, and what is refused with a sentence."""

import pytest

from operations import request
from operations.request import RefusedError, Request
from services.backup.__main__ import main as backup_program
from services.migrate.__main__ import main as migrate_program

TAKE = ["python", "-m", "services.backup", "postgres", "list", "--spec", "/spec.json"]
MIGRATE = ["python", "-m", "services.migrate", "restdb", "--package", "rest_service"]


def test_a_database_nobody_has_is_refused_with_those_there_are():
    with pytest.raises(RefusedError, match=r"no database 'restbd'; known: .*restdb"):
        request.target("restbd")


def test_no_database_at_all_is_refused_with_what_to_say():
    with pytest.raises(RefusedError, match=r"DB is not given; say .*DB=restdb\|"):
        request.target("")


@pytest.mark.parametrize(
    ("confirmed", "said"),
    [("", "CONFIRM is not given"), ("yes", "CONFIRM is 'yes'"), ("workerdb", "is 'workerdb'")],
)
def test_a_restore_that_is_not_confirmed_says_what_it_would_do_and_to_what(
    confirmed: str, said: str
):
    of = request.target("restdb")
    with pytest.raises(RefusedError) as refused:
        request.restore(of, "postgres-20260102-030405", confirmed, migrate=False)
    for part in (said, "nothing was done", "postgres-20260102-030405", "CONFIRM=restdb"):
        assert part in str(refused.value)


def test_a_return_in_time_is_confirmed_in_the_same_way():
    with pytest.raises(RefusedError, match=r"2026-01-02T03:04:05Z .*CONFIRM=restdb"):
        request.pitr(request.target("restdb"), "2026-01-02T03:04:05Z", "", migrate=False)


def test_a_restore_without_a_backup_is_told_where_they_are_listed():
    with pytest.raises(RefusedError, match="make backups DB=restdb"):
        request.restore(request.target("restdb"), "", "restdb", migrate=False)


def test_a_restore_takes_the_place_of_what_its_template_does():
    asked = request.restore(request.target("restdb"), "b-1", "restdb", migrate=True)
    assert asked.template == "restdb-restore"
    assert asked.command(TAKE) == [
        *TAKE[:4],
        *("restore", "--backup", "b-1", "--migrate"),
        *TAKE[5:],
    ]


def test_a_backup_does_what_the_nightly_one_does_and_is_of_the_server():
    asked = request.backup(request.target("workerdb"))
    assert asked.template == "postgres-backup"
    assert asked.command(TAKE) == TAKE


@pytest.mark.parametrize(
    ("to", "dry", "added"),
    [
        ("", False, ()),
        ("0001", False, ("--to", "0001")),
        ("status", False, ("--status",)),
        ("status", True, ("--status",)),
        ("", True, ("--dry-run",)),
        ("base", True, ("--to", "base", "--dry-run")),
    ],
)
def test_a_migration_says_where_to(to: str, dry: bool, added: tuple[str, ...]):
    asked = request.migrate(request.target("restdb"), to, dry_run=dry)
    assert asked.command(MIGRATE) == [*MIGRATE, *added]


REST = request.target("restdb")
ASKED = [
    request.drill(REST, ""),
    request.drill(REST, "b-1"),
    *(request.restore(REST, "b-1", "restdb", migrate=first) for first in (False, True)),
    *(
        request.pitr(REST, "2026-01-02T03:04:05Z", "restdb", migrate=first)
        for first in (False, True)
    ),
    request.unlock(REST),
]
MOVED = [
    *(
        request.migrate(REST, to, dry_run=dry)
        for to in ("", "0001", "status")
        for dry in (False, True)
    ),
    request.load_schema(REST),
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.text)
def test_the_program_understands_what_is_asked_of_a_backup(asked: Request):
    # It ends with 1 for want of a spec; what it does not understand ends with 2.
    assert backup_program(asked.command(TAKE)[3:]) == 1


@pytest.mark.parametrize("asked", MOVED, ids=lambda asked: asked.text)
def test_the_program_understands_what_is_asked_of_a_migration(
    asked: Request, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("DATABASE_HOST", raising=False)
    assert migrate_program(asked.command(MIGRATE)[3:]) == 1
