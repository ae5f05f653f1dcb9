"""What is counted beside HTTP requests."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram


class AuthMetrics:
    """Those of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        credentials = Counter(
            "auth_credentials",
            "Clients that presented credentials, by what became of it: known (nothing was asked or"
            " computed), refused, limited.",
            ["outcome"],
            registry=registry,
        )
        self.known = credentials.labels("known")
        self.refused = credentials.labels("refused")
        self.limited = credentials.labels("limited")
        self.issued = Counter("auth_tokens_issued", "Access tokens issued.", registry=registry)
        self.revoked = Counter("auth_tokens_revoked", "Access tokens revoked.", registry=registry)
        self.hashing = Histogram(
            "auth_secret_hashing_seconds",
            "Time to verify a secret with bcrypt, waiting for a thread included.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )
