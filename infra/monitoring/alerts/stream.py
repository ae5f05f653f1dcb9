"""Documents on their way from the stream into their database."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Group, Implied, Said, series

FUSE: Final = 200_000
"""Entries that the stream takes at most; where a stack says otherwise (INGEST_MAX_QUEUE), the
share of it that pages is another."""
FILLED: Final = 0.6
"""Documents are refused from 75 % of the fuse on: somebody is told before."""


def _entries(count: int) -> dict[str, str]:
    return {series("ingest_stream_entries", job="ingest-service", pod="p"): f"{count}x5"}


GROUP: Final = Group(
    "stream",
    (
        Alert(
            "StreamFills",
            f"max(ingest_stream_entries) > {FUSE * FILLED:.0f}",
            severity="page",
            layer="symptom",
            owner="services",
            pending="2m",
            # Who fills it sees it, also when who empties it is gone; but the latter is to blame.
            labels={"job": "stream-writer"},
            summary="{{ $value | humanize }} documents wait to be stored",
            description=(
                f"The stream's fuse is at {FUSE:,} entries, and from 75 % of it on documents are"
                " refused (503). Writers do not keep up, or there are none."
            ),
            cases=(
                Case(_entries(120_001), "3m", (Said({}, "120k documents wait to be stored"),)),
                Case(_entries(119_999), "3m"),
            ),
        ),
        Alert(
            "StreamOldestEntry",
            "max by (job) (stream_oldest_entry_age_seconds) > 120",
            severity="page",
            layer="symptom",
            owner="services",
            pending="2m",
            summary="{{ $labels.job }}: a document has waited for {{ $value | humanizeDuration }}",
            description=(
                "Documents are acknowledged and readable, but not in their database: a lost volume"
                " of the stream would take them."
            ),
            implied=(Implied("StreamFills"),),
            cases=(
                Case(
                    {series("stream_oldest_entry_age_seconds", job="stream-writer"): "121x5"},
                    "3m",
                    (
                        Said(
                            {"job": "stream-writer"},
                            "stream-writer: a document has waited for 2m 1s",
                        ),
                    ),
                ),
                Case(
                    {series("stream_oldest_entry_age_seconds", job="stream-writer"): "119x5"}, "3m"
                ),
            ),
        ),
        Alert(
            "DocumentsRefused",
            "max by (job, reason) (ingest_admission_closed) == 1",
            severity="page",
            layer="symptom",
            owner="services",
            pending="2m",
            summary="{{ $labels.job }}: no document is let in ({{ $labels.reason }})",
            description=(
                "Clients get 503: the stream has too many entries (queue), its server too little"
                " memory (memory), or it does not answer (unknown)."
            ),
            implied=(
                Implied("StreamFills", equal=()),
                Implied("StreamOldestEntry", equal=()),
            ),
            cases=(
                Case(
                    {
                        series(
                            "ingest_admission_closed", job="ingest-service", reason="queue"
                        ): "1x5",
                        series(
                            "ingest_admission_closed", job="ingest-service", reason="memory"
                        ): "0x5",
                    },
                    "3m",
                    (
                        Said(
                            {"job": "ingest-service", "reason": "queue"},
                            "ingest-service: no document is let in (queue)",
                        ),
                    ),
                ),
                Case(
                    {
                        series(
                            "ingest_admission_closed", job="ingest-service", reason="queue"
                        ): "0x5"
                    },
                    "3m",
                ),
            ),
        ),
        Alert(
            "StreamDeadLetters",
            "max by (job) (stream_dead_letters) > 0",
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="5m",
            summary="{{ $labels.job }}: {{ $value }} documents can never be stored",
            description=(
                "The database refuses each of them by itself. They are kept beside the stream, with"
                " the reason, until somebody decides."
            ),
            cases=(
                Case(
                    {series("stream_dead_letters", job="stream-writer", pod="p"): "3x9"},
                    "6m",
                    (
                        Said(
                            {"job": "stream-writer"},
                            "stream-writer: 3 documents can never be stored",
                        ),
                    ),
                ),
                Case({series("stream_dead_letters", job="stream-writer", pod="p"): "0x9"}, "6m"),
            ),
        ),
    ),
)
