"""What people are told to ask the database of tasks, when an alert has woken them."""

from __future__ import annotations

import re

from services.shared.runtime.settings import DatabaseSettings
from tests.harness.repository import ROOT
from tests.integration.migrate.test_migrations import rows

PAGE = ROOT / "docs/runbooks/alerts/tasks.md"
ASKED = re.findall(r'psql -U postgres grpcdb -c \\\n  "(.+)"', PAGE.read_text(encoding="utf-8"))


async def test_every_statement_of_the_runbook_fits_the_schema(taskdb: DatabaseSettings) -> None:
    assert len(ASKED) == 4
    for statement in ASKED:
        assert await rows(taskdb, statement) == []
