"""Which users a plan asks for."""

from collections.abc import Mapping

from loadtests.generator import documents, telemetry
from loadtests.generator.paced import PacedUser
from loadtests.run.plan import Flow, Plan

OF_DOCUMENTS: Mapping[Flow, type[PacedUser]] = {
    "mixed": documents.MixedUser,
    "write": documents.WritingUser,
    "read": documents.ReadingUser,
}
OF_POINTS: Mapping[Flow, type[PacedUser]] = {
    "mixed": telemetry.MixedUser,
    "write": telemetry.WritingUser,
    "read": telemetry.ReadingUser,
}


def users_of(plan: Plan) -> type[PacedUser]:
    """By what the run is about, and which side of it."""
    return (OF_DOCUMENTS if plan.way else OF_POINTS)[plan.flow]
