"""The audit log: who did what, from where, and what became of it. Never a secret, never a token."""

from __future__ import annotations

from services.shared.runtime.logging import get_logger

log = get_logger("audit")


def note(action: str, by: str, outcome: str, address: str, **more: object) -> None:
    """`by`: a client id; as it was given where it proved nothing, and then cut short."""
    log.info("audit", action=action, by=by[:64], outcome=outcome, address=address, **more)
