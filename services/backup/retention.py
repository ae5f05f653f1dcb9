"""Which backups may go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.backup.catalogue import Known
from services.backup.spec import RetentionSpec


def split(
    known: Sequence[Known], retention: RetentionSpec, now: datetime
) -> tuple[list[Known], list[Known]]:
    """What stays and what goes, each oldest first.

    The newest proven one stays whatever its age: younger ones may be damaged, it was not.
    """
    ordered = sorted(known, key=lambda one: (one.entry.taken, one.entry.name))
    newest = ordered[-retention.count :]
    young = now - timedelta(days=retention.days)
    proven = next((one for one in reversed(ordered) if one.proven), None)
    stays = [one for one in ordered if one in newest or one.entry.taken >= young or one is proven]
    return stays, [one for one in ordered if one not in stays]
