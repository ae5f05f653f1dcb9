"""What the gate says: one check for each target, with a sentence for each that is missed."""

from dataclasses import dataclass, replace

from loadtests.verdict.limits import Limit

NOT_MEASURED = "not measured"
COMPLAINT = "complaint"
"""What a check is called, with a number, that says why the numbers are not to be trusted."""


@dataclass(frozen=True)
class Check:
    """One target and what was measured."""

    subject: str
    """An endpoint, or `load`, `store`, `cache`, `ledger`."""
    what: str
    measured: str
    target: str
    sentence: str = ""
    """Why it is missed; empty if it is reached."""
    aim: str = ""
    aim_reached: bool = False

    @property
    def passed(self) -> bool:
        return not self.sentence


@dataclass(frozen=True)
class Judgement:
    """All checks of one run, in the order of the report."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every target is reached; aims do not count."""
        return bool(self.checks) and not self.sentences

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each target that is missed."""
        return tuple(check.sentence for check in self.checks if not check.passed)


def held(subject: str, what: str, measured: float, limit: Limit, hint: str = "") -> Check:
    """What was measured, within its limit or not."""
    shown = limit.show(measured)
    sentence = f"{subject}: {what} is {shown}, the target is {limit.text}{hint}"
    passed = limit.holds(measured)
    return Check(subject, what, shown, limit.text, "" if passed else sentence)


def with_aim(check: Check, measured: float, aim: Limit) -> Check:
    """The same check with what is aimed at beside it."""
    return replace(check, aim=aim.text, aim_reached=check.passed and aim.holds(measured))


def missed(subject: str, what: str, target: str, why: str, measured: str = NOT_MEASURED) -> Check:
    """A target that is missed for a reason that is more than a number beyond a limit."""
    return Check(subject, what, measured, target, f"{subject}: {why}")
