"""What a lost server would cost, and whether what is kept is worth anything."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Group, Implied, Said, series

_OF: Final = {"job": "postgres", "database": "restdb"}
_UNTIL: Final = "backup_archive_until_timestamp_seconds"
_DAY: Final = 86_400
_LATEST: Final = 26 * 3600
"""Seconds from one nightly backup to the next one's proof: a day, and what a backup may take."""


def _both(proven: str) -> dict[str, str]:
    return {
        series("backup_archive_lag_seconds", **_OF): f"5x{27 * 6}",
        series("backup_newest_proven_timestamp_seconds", **_OF): proven,
    }


GROUP: Final = Group(
    "backups",
    (
        Alert(
            "ArchiveBehind",
            # An archiver that begins anew measures from its start until it has reached anything:
            # how far it ever came is what counts, as long as it speaks at all.
            f"time() - max by (job, database) (max_over_time({_UNTIL}[1d]) > 0) > 300"
            " and on (job, database) present_over_time(backup_archive_lag_seconds[6m])"
            " or max by (job, database) (backup_archive_lag_seconds) > 300",
            severity="page",
            layer="symptom",
            owner="data",
            pending="2m",
            summary=(
                "{{ $labels.database }}: the last {{ $value | humanizeDuration }} are in no archive"
            ),
            description=(
                "With the server's volume they would be lost. The archiver cannot read the server's"
                " log, or cannot write to where backups lie."
            ),
            cases=(
                Case(
                    {series("backup_archive_lag_seconds", **_OF): "361x5"},
                    "3m",
                    (Said(_OF, "restdb: the last 6m 1s are in no archive"),),
                ),
                # It begins anew every few minutes, and does not come further.
                Case(
                    {
                        series("backup_archive_lag_seconds", **_OF, pod="a"): "5x10 0 60 120",
                        series(_UNTIL, **_OF, pod="a"): "0+60x10 0 0 0",
                        series("backup_archive_lag_seconds", **_OF, pod="b"): (
                            "_x13 0 60 120 _ _ _ _ 0 60 120"
                        ),
                        series(_UNTIL, **_OF, pod="b"): "_x13 0 0 0 _ _ _ _ 0 0 0",
                    },
                    "20m",
                    (Said(_OF, "restdb: the last 10m 0s are in no archive"),),
                ),
                Case({series("backup_archive_lag_seconds", **_OF): "299x5"}, "3m"),
                # It began anew, and goes on; another one before it came less far.
                Case(
                    {
                        series(_UNTIL, **_OF, pod="a"): "0+60x10",
                        series("backup_archive_lag_seconds", **_OF, pod="b"): "_x10 5x20",
                        series(_UNTIL, **_OF, pod="b"): "_x10 0 660+60x20",
                    },
                    "25m",
                ),
                # It is gone, which is told by ArchiverAway.
                Case(
                    {
                        series("backup_archive_lag_seconds", **_OF): "5x10",
                        series(_UNTIL, **_OF): "0+60x10",
                    },
                    "30m",
                ),
            ),
        ),
        Alert(
            "ArchiverAway",
            "max by (job, database) (present_over_time(backup_archive_lag_seconds[1d]))"
            " unless max by (job, database) (backup_archive_lag_seconds)",
            severity="page",
            layer="symptom",
            owner="data",
            pending="10m",
            summary="{{ $labels.database }}: nobody archives the log of changes",
            description=(
                "The archiver is gone, and with it all that tells of backups. Once the server has"
                " no room for what waits, the archive has a gap for good."
            ),
            implied=(Implied("ServerDown"),),
            cases=(
                Case(
                    {series("backup_archive_lag_seconds", **_OF): "5x5 _x30"},
                    "30m",
                    (Said(_OF, "restdb: nobody archives the log of changes"),),
                ),
                Case({series("backup_archive_lag_seconds", **_OF): "5x5 _x8 5x20"}, "30m"),
            ),
        ),
        Alert(
            "BackupNotProven",
            f"time() - max by (job, database) (backup_newest_proven_timestamp_seconds) > {_LATEST}",
            severity="page",
            layer="symptom",
            owner="data",
            summary=(
                "{{ $labels.database }}: the newest proven backup is of"
                " {{ $value | humanizeDuration }} ago"
            ),
            description=(
                "The last night's backup was not taken, or could not be restored on the side. Until"
                " one is proven, changes are only as safe as that older one and the archived log."
            ),
            cases=(
                Case(
                    _both("0x162"),
                    f"{27 * 60}m",
                    (Said(_OF, "restdb: the newest proven backup is of 1d 3h 0m 0s ago"),),
                    step="10m",
                ),
                # Proven again in the last hour, of what was an hour before.
                Case(_both(f"0x150 {_DAY}x12"), f"{27 * 60}m", step="10m"),
            ),
        ),
        Alert(
            "BackupNeverProven",
            "max by (job, database) (backup_archive_lag_seconds)"
            " unless on (job, database) backup_newest_proven_timestamp_seconds",
            severity="ticket",
            layer="symptom",
            owner="data",
            pending="26h",
            summary="{{ $labels.database }}: no backup was ever proven",
            description="Its log was archived for a day, and there is no backup to go with it.",
            implied=(Implied("ArchiveBehind", equal=("job", "database")),),
            cases=(
                Case(
                    {series("backup_archive_lag_seconds", **_OF): "5x170"},
                    f"{27 * 60}m",
                    (Said(_OF, "restdb: no backup was ever proven"),),
                    step="10m",
                ),
                Case(_both("0x170"), f"{27 * 60}m", step="10m"),
            ),
        ),
        Alert(
            "BackupDrillFailed",
            "min by (job, database) (backup_drill_passed) == 0",
            severity="ticket",
            layer="symptom",
            owner="data",
            pending="5m",
            summary="{{ $labels.database }}: the newest backup could not be proven",
            description=(
                "It was restored on the side and differs, or could not be restored. If no other is"
                " proven within a day somebody is woken."
            ),
            implied=(Implied("BackupNotProven", equal=("job", "database")),),
            cases=(
                Case(
                    {series("backup_drill_passed", **_OF): "0x9"},
                    "6m",
                    (Said(_OF, "restdb: the newest backup could not be proven"),),
                ),
                Case({series("backup_drill_passed", **_OF): "1x9"}, "6m"),
            ),
        ),
    ),
)
