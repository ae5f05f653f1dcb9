"""Events on their way from a database to Kafka."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Group, Said, series

_JOB: Final = "outbox-relay-rest"
_LANES: Final = 64
"""What each outbox has; a relay that works has some of them."""


def _gauge(name: str, *values: str) -> dict[str, str]:
    """A relay each; gauges over the outbox are the same in all of them."""
    return {series(name, job=_JOB, pod=f"p{number}"): value for number, value in enumerate(values)}


def _said(summary: str) -> tuple[Said, ...]:
    return (Said({"job": _JOB}, f"{_JOB}: {summary}"),)


GROUP: Final = Group(
    "outbox",
    (
        Alert(
            "OutboxOldestEvent",
            "max by (job) (outbox_oldest_unsent_age_seconds) > 300",
            severity="page",
            layer="symptom",
            owner="services",
            pending="2m",
            summary="{{ $labels.job }}: an event has waited for {{ $value | humanizeDuration }}",
            description=(
                "Events are written and not published: consumers fall behind, and the table grows."
                " Nothing is lost."
            ),
            cases=(
                Case(
                    _gauge("outbox_oldest_unsent_age_seconds", "301x5", "0x5"),
                    "3m",
                    _said("an event has waited for 5m 1s"),
                ),
                Case(_gauge("outbox_oldest_unsent_age_seconds", "299x5", "0x5"), "3m"),
            ),
        ),
        Alert(
            "OutboxLanesWithoutRelay",
            f"sum by (job) (outbox_lanes_leased) < {_LANES}",
            severity="page",
            layer="service",
            owner="services",
            pending="3m",
            lingers="5m",
            summary=f"{{{{ $labels.job }}}}: only {{{{ $value }}}} of {_LANES} lanes have a relay",
            description=(
                "Events of the other lanes are published by nobody. A lease that is lost is taken"
                " over within seconds, so no relay can, or the database refuses them."
            ),
            cases=(
                Case(
                    _gauge("outbox_lanes_leased", "32x5", "31x5"),
                    "4m",
                    _said("only 63 of 64 lanes have a relay"),
                ),
                Case(_gauge("outbox_lanes_leased", "32x5", "32x5"), "4m"),
            ),
        ),
        Alert(
            "OutboxKeysParked",
            "max by (job) (outbox_parked_keys) > 0",
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="5m",
            summary="{{ $labels.job }}: {{ $value }} keys are parked",
            description=(
                "Kafka refuses an event of each of these keys for good. All later events of the"
                " same keys wait behind it until somebody decides; others go on."
            ),
            cases=(
                Case(_gauge("outbox_parked_keys", "2x9", "2x9"), "6m", _said("2 keys are parked")),
                Case(_gauge("outbox_parked_keys", "0x9", "0x9"), "6m"),
            ),
        ),
        Alert(
            "OutboxPartitionsSick",
            "max by (job) (outbox_sick_partitions) > 0",
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="5m",
            summary="{{ $labels.job }}: {{ $value }} partitions take nothing",
            description=(
                "Their events wait, and later ones of their keys; all others go around them. Kafka"
                " lacks a leader or replicas for them."
            ),
            cases=(
                Case(
                    _gauge("outbox_sick_partitions", "1x9", "3x9"),
                    "6m",
                    _said("3 partitions take nothing"),
                ),
                Case(_gauge("outbox_sick_partitions", "0x9", "0x9"), "6m"),
            ),
        ),
        Alert(
            "OutboxPartitionsKept",
            "max by (job) (outbox_partitions_kept) > 0",
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="1h",
            summary="{{ $labels.job }}: {{ $value }} days past retention hold unsent events",
            description=(
                "The outbox keeps whole days of events that should have been dropped, since some"
                " of them were never published: keys that were parked and forgotten."
            ),
            cases=(
                Case(
                    _gauge("outbox_partitions_kept", "1x70"),
                    "61m",
                    _said("1 days past retention hold unsent events"),
                ),
                Case(_gauge("outbox_partitions_kept", "0x70"), "61m"),
            ),
        ),
    ),
)
