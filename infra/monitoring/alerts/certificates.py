"""How long certificates last that services were shown."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Group, Implied, Said, Severity, series

_DAY: Final = 86_400


def _days(days: int, minutes: int = 0) -> dict[str, str]:
    """What two services saw of one certificate, the one that connected later the newer one."""
    end = days * _DAY + minutes * 60
    of = {"certificate": "postgres.data.svc"}
    name = "tls_certificate_expiry_timestamp_seconds"
    return {
        series(name, job="rest-service", **of): f"{end}x100",
        series(name, job="event-worker", **of): f"{400 * _DAY}x100",
    }


def _left(
    name: str, days: int, severity: Severity, description: str, implied: tuple[Implied, ...] = ()
) -> Alert:
    """Less than that is left of a certificate that is in use."""
    return Alert(
        name,
        "min by (certificate) (tls_certificate_expiry_timestamp_seconds) - time()"
        f" < {days} * {_DAY}",
        severity=severity,
        layer="symptom",
        owner="platform",
        pending="10m",
        summary=(
            "the certificate of {{ $labels.certificate }} lasts {{ $value | humanizeDuration }}"
        ),
        description=description,
        implied=implied,
        cases=(
            Case(
                _days(days),
                "60m",
                (
                    Said(
                        {"certificate": "postgres.data.svc"},
                        f"the certificate of postgres.data.svc lasts {days - 1}d 23h 0m 0s",
                    ),
                ),
            ),
            Case(_days(days, minutes=65), "60m"),
        ),
    )


GROUP: Final = Group(
    "certificates",
    (
        _left(
            "CertificateEnds",
            14,
            "page",
            "When it ends nobody connects to that server any more. Nothing but an update renews it;"
            " one that was renewed and is still seen was not taken by who shows it.",
        ),
        _left(
            "CertificateEndsSoon",
            60,
            "ticket",
            "It was due for a month, and no update came: nothing else renews it.",
            (Implied("CertificateEnds", equal=("certificate",)),),
        ),
    ),
)
