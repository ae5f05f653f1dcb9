"""Section of a stack file: who is told of alerts, and how; and what watches the platform."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.model.settings.base import DnsName, Identifier, Settings, Stated, unknown
from infra.model.settings.watching import (
    AlertmanagerSettings,
    GrafanaSettings,
    PrometheusSettings,
)

Address = Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$", examples=["ops@mill.example"])]


class WebhookSettings(Settings):
    """An address that alerts are posted to"""

    secret: DnsName
    """Secret of the namespace monitoring whose key `url` holds it, which the cluster's owner makes:
    whoever knows such an address may write there."""


class SlackSettings(Settings):
    """A channel of Slack"""

    channel: Stated
    """Its name, like `#alerts`."""
    secret: DnsName
    """Secret of the namespace monitoring whose key `url` holds the incoming webhook's address."""


class PagerDutySettings(Settings):
    """A service of PagerDuty"""

    secret: DnsName
    """Secret of the namespace monitoring whose key `routing-key` holds the integration's key, of
    the Events API v2."""


class EmailSettings(Settings):
    """Addresses that mail is sent to"""

    to: Annotated[tuple[Address, ...], Field(min_length=1)]
    """Who gets it."""
    sender: Address
    """Who it is from."""
    smarthost: Annotated[
        str, Field(pattern=r"^[^\s:]+:[0-9]{1,5}$", examples=["smtp.mill.example:587"])
    ]
    """Server and port that take it, with TLS."""
    username: Stated | None = None
    """Who logs in there; absent: nobody has to."""
    secret: DnsName | None = None
    """Secret of the namespace monitoring whose key `password` belongs to `username`."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        """`username` and `secret` are given together: one without the other logs nobody in."""
        if (self.username is None) != (self.secret is None):
            raise ValueError(
                "username and secret belong together; give both, or neither where the server asks "
                "for no login"
            )
        return self


Means = WebhookSettings | SlackSettings | PagerDutySettings | EmailSettings


class ReceiverSettings(Settings):
    """One way to reach somebody: exactly one of these."""

    webhook: WebhookSettings | None = None
    """An address that alerts are posted to."""
    slack: SlackSettings | None = None
    """A channel of Slack."""
    pagerduty: PagerDutySettings | None = None
    """A service of PagerDuty."""
    email: EmailSettings | None = None
    """Addresses that mail is sent to."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        """A receiver has exactly one of `webhook`, `slack`, `pagerduty` and `email`."""
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{' and '.join(given) or 'nothing'} is given, but a receiver is one way to reach "
                "somebody; give each way a receiver of its own, with a name"
            )
        return self

    @property
    def means(self) -> Means:
        """The one that is given."""
        return next(filter(None, (self.webhook, self.slack, self.pagerduty, self.email)))


class MonitoringSettings(Settings):
    """Who is told of alerts, and how large what watches is. The rules are the same everywhere."""

    receivers: Mapping[Identifier, ReceiverSettings] = {}
    """Name to one way to reach somebody, `webhook`, `slack`, `pagerduty` or `email`
    ([each of them](monitoring.md#who-is-told)); what follows names them."""
    pages: tuple[Identifier, ...] = ()
    """Receivers of what cannot wait until morning; all of them are told."""
    tickets: tuple[Identifier, ...] = ()
    """Receivers of what has to be looked into in working hours."""
    heartbeat: Identifier | None = None
    """A receiver outside of the cluster that is told every minute that all is well, and calls
    somebody when it no longer is."""
    runbooks: Annotated[
        str,
        Field(
            pattern=r"^(https://\S+/)?$", examples=["https://git.mill.example/millrace/blob/main/"]
        ),
    ] = ""
    """What links to runbooks begin with, so that a path in this repository behind it can be opened;
    empty: alerts carry the path alone."""

    prometheus: PrometheusSettings = PrometheusSettings()
    """What asks everything how it is, and keeps the answers."""
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    """What tells people."""
    grafana: GrafanaSettings = GrafanaSettings()
    """What shows the dashboards, where there is an image of it: the official one or one in
    `images.overrides.grafana`. `make dashboard` shows them everywhere."""

    @model_validator(mode="after")
    def _known_receivers(self) -> Self:
        """`pages`, `tickets` and `heartbeat` name receivers, and every receiver is named by one of
        them: one that nobody names would be told of nothing."""
        known = tuple(self.receivers)
        for name in self.told:
            if name not in known:
                raise ValueError(unknown("receiver", name, known))
        for name in known:
            if name not in self.told:
                raise ValueError(
                    f"the receiver {name} would be told of nothing; name it in pages, tickets or "
                    "heartbeat, or remove it"
                )
        return self

    @model_validator(mode="after")
    def _a_heartbeat_that_may_stop(self) -> Self:
        """`heartbeat` is no `pagerduty`: its events open an incident with every beat, and none when
        they stop."""
        name = self.heartbeat
        if name is not None and self.receivers[name].pagerduty is not None:
            raise ValueError(
                f"heartbeat names {name}, which is pagerduty: that would open an incident with "
                "every beat and call nobody when they stop; name a webhook of something outside "
                "that calls when it hears nothing, or remove heartbeat"
            )
        return self

    @property
    def told(self) -> tuple[str, ...]:
        """Every name of a receiver that something is sent to."""
        return (*self.pages, *self.tickets, *((self.heartbeat,) if self.heartbeat else ()))

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Each receiver that needs a Secret, with the Secret's name."""
        for name, receiver in self.receivers.items():
            if receiver.means.secret is not None:
                yield name, receiver.means.secret
