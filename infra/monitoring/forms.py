"""What a rule is: a recording or an alert, each with the cases that prove it.

Plain data. Expressions are PromQL; values of a case's series are in promtool's notation (`0+6x30`:
31 values that begin at 0 and grow by 6; `_` is no value).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Severity = Literal["page", "ticket", "none"]
"""page: waiting until morning would lose something, so somebody is woken; ticket: somebody has to
look into it in working hours; none: nobody is told, other alerts or machines are."""

Layer = Literal["server", "service", "symptom"]
"""What is broken: a server, a service, or only what it promised. A page of one layer silences the
layers behind it, of its own job and of those that depend on it: one cause is one page."""

Owner = Literal["data", "platform", "services"]
"""Who is to act: for what servers hold; for the cluster and what watches it; for what the Python
services do. Receivers are chosen by severity, and may choose further by this label."""

PAGES: Final = "docs/runbooks/alerts"
"""Where an alert's runbook is: a page per area, a heading per alert."""

_LABEL: Final = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE: Final = re.compile(r"\{\{ \$value(?: \| (?:humanize\w*|printf \"[^\"]+\"))? \}\}")
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True)
class Said:
    """What an alert says of one thing that it is about."""

    labels: Mapping[str, str]
    """What its expression leaves; labels of the rule itself come on top."""
    summary: str
    """The summary as people get it, labels and value filled in."""


@dataclass(frozen=True)
class Case:
    """Series, and what a rule makes of them at a moment."""

    series: Mapping[str, str]
    """Selector to values, one each `step`."""
    at: str
    """When it is looked at, from the first value."""
    said: tuple[Said, ...] = ()
    """All that fires then; nothing: the alert has to be quiet."""
    step: str = "1m"


@dataclass(frozen=True)
class Sample:
    """What a recording has to hold: labels to a value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class RecordingCase:
    """Series, and what is recorded of them at a moment."""

    series: Mapping[str, str]
    at: str
    samples: tuple[Sample, ...]
    step: str = "1m"


@dataclass(frozen=True)
class Implied:
    """An alert that need not be told while another one, which explains it, is told."""

    by: str
    """Name of the other one; only one that pages silences."""
    equal: tuple[str, ...] = ("job",)
    """Labels in which both agree."""


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    cases: tuple[RecordingCase, ...] = ()


@dataclass(frozen=True)
class Alert:
    """An alerting rule, all that its reader needs included."""

    name: str
    expr: str
    severity: Severity
    layer: Layer
    owner: Owner
    summary: str
    """What is the case now, in one line; may name labels and the value."""
    description: str
    """What it means and what happens next; may name labels."""
    cases: tuple[Case, ...]
    """At least one that fires, and one of the same series that does not."""
    pending: str = "0s"
    """How long the expression has to hold."""
    lingers: str = "0s"
    """How long it goes on firing afterwards. Causes linger: what they caused takes a while to go,
    and would page when its cause no longer silences it."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    implied: tuple[Implied, ...] = ()

    @property
    def anchor(self) -> str:
        """Of its heading on the runbook's page."""
        return self.name.lower()

    @property
    def all_labels(self) -> Mapping[str, str]:
        """Labels that the rule itself gives."""
        own = {"severity": self.severity, "layer": self.layer, "owner": self.owner}
        return own | dict(self.labels)

    def described(self, labels: Mapping[str, str]) -> str:
        """The description as people get it."""
        return _LABEL.sub(lambda found: labels.get(found[1], ""), self.description)

    def misspelled(self) -> list[str]:
        """Templates that are none of those a case can hold the alert to."""
        summary = _VALUE.sub("", _LABEL.sub("", self.summary))
        return _TEMPLATE.findall(summary + _LABEL.sub("", self.description))


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, one after the other; a file of their own."""

    name: str
    """Of the file; with alerts in it also of their page of runbooks."""
    rules: tuple[Alert | Recording, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))

    @property
    def page(self) -> str:
        """Path of its runbooks in the repository."""
        return f"{PAGES}/{self.name}.md"


def series(metric: str, **labels: str) -> str:
    """A series' name as cases write it."""
    inside = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{inside}}}"
