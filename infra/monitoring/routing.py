"""Alertmanager's configuration: who is told of what, and what need not be told.

Secrets are files: each receiver's Secret is mounted as a folder of `RECEIVERS` by the receiver's
name, and the configuration names the file of its one key.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from components.kit.paths import RECEIVERS
from infra.model.records import RECORDS, Records
from infra.model.settings import (
    EmailSettings,
    MonitoringSettings,
    PagerDutySettings,
    ReceiverSettings,
    SlackSettings,
    WebhookSettings,
)
from infra.monitoring.forms import Alert
from infra.monitoring.rules import Document, groups, written

_SAID: Final = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ end }}"
_IN_FULL: Final = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    "{{ .Annotations.runbook_url }}\n\n{{ end }}"
)


def configuration(settings: MonitoringSettings, records: Records = RECORDS) -> str:
    """Alertmanager's file, as YAML."""
    return written(
        {
            "route": _route(settings),
            "receivers": [*_receivers(settings)],
            "inhibit_rules": [*_silences(records)],
        }
    )


def _route(settings: MonitoringSettings) -> Document:
    routes: list[Document] = []
    if settings.heartbeat is not None:
        # At 1m the last one is a moment too young at each second look, and every other is left out.
        often: Document = {"group_wait": "0s", "group_interval": "1m", "repeat_interval": "50s"}
        routes.append({"matchers": ['alertname="Watchdog"'], "receiver": "heartbeat", **often})
    routes.append({"matchers": ['severity="none"'], "receiver": "nobody"})
    routes.append({"matchers": ['severity="page"'], "receiver": "pages", "repeat_interval": "4h"})
    return {
        "receiver": "tickets",
        # One message for all windows, pods or topics of one alert about one thing.
        "group_by": ["alertname", "job", "slo"],
        # A cause may be noticed a little later than what it causes: it has this long to silence it.
        "group_wait": "1m",
        "group_interval": "5m",
        "repeat_interval": "1d",
        "routes": routes,
    }


def _receivers(settings: MonitoringSettings) -> Iterator[Document]:
    yield {"name": "nobody"}
    yield _together("pages", settings.pages, settings)
    yield _together("tickets", settings.tickets, settings)
    if settings.heartbeat is not None:
        # It ends in silence: a message that nothing is watched would pass for one more beat.
        beat = _together("heartbeat", [settings.heartbeat], settings)
        for how in (how for key, ways in beat.items() if key != "name" for how in ways):
            how["send_resolved"] = False
        yield beat


def _together(name: str, chosen: Iterable[str], settings: MonitoringSettings) -> Document:
    """One receiver of Alertmanager that tells all of them. None: alerts are only to be seen."""
    made: Document = {"name": name}
    for each in dict.fromkeys(chosen):
        key, how = _means(each, settings.receivers[each])
        made.setdefault(key, []).append(how)
    return made


def _means(name: str, receiver: ReceiverSettings) -> tuple[str, Document]:
    folder = f"{RECEIVERS}/{name}"
    resolved: dict[str, Any] = {"send_resolved": True}
    match receiver.means:
        case WebhookSettings():
            return "webhook_configs", {**resolved, "url_file": f"{folder}/url"}
        case SlackSettings(channel=channel):
            return "slack_configs", {
                **resolved,
                "api_url_file": f"{folder}/url",
                "channel": channel,
                "title": "{{ .Status | toUpper }} {{ .CommonLabels.alertname }}",
                "text": _IN_FULL,
            }
        case PagerDutySettings():
            return "pagerduty_configs", {
                **resolved,
                "routing_key_file": f"{folder}/routing-key",
                "description": _SAID,
                "details": {"text": _IN_FULL},
            }
        case EmailSettings() as email:
            login: Document = {}
            if email.username is not None:
                login["auth_username"] = email.username
                login["auth_password_file"] = f"{folder}/password"
            return "email_configs", {
                **resolved,
                "to": ", ".join(email.to),
                "from": email.sender,
                "smarthost": email.smarthost,
                "require_tls": True,
                **login,
                "headers": {"Subject": "{{ .Status | toUpper }} {{ .CommonLabels.alertname }}"},
                "text": _IN_FULL,
            }


def _silences(records: Records) -> Iterator[Document]:
    """One cause is one page: what need not be told while something that explains it is told."""
    # What a layer breaks in its own job. Alerts without one would be equal in having none.
    known = 'job=~".+"'
    yield _silence(['layer="server"', known], ['layer=~"service|symptom"'], "job")
    yield _silence(['layer="service"', known], ['layer="symptom"'], "job")
    # What a server breaks in the services that use it. Those that call a service are not among
    # them: they are made to go on without it, so what fails there may well have another cause.
    for server in records.servers:
        using = "|".join(s.name for s in records.services if s.uses(server))
        yield _silence(
            ['layer="server"', f'job="{server.name}"'],
            ['layer=~"service|symptom"', f'job=~"{using}"'],
        )
        # A slow pair of windows looks back to what is over, and was told.
        yield {
            "source_matchers": [
                'alertname="RecentCause"',
                'cause="server"',
                f'job="{server.name}"',
            ],
            "target_matchers": ['window="6h"', f'job=~"{using}"'],
        }
    yield {
        "source_matchers": ['alertname="RecentCause"'],
        "target_matchers": ['window="6h"'],
        "equal": ["job"],
    }
    # A budget that burns fast burns slowly as well.
    yield _silence(['window=~".+"'], ['window=~".+"', 'severity="ticket"'], "slo")
    for alert in _distinct(records):
        for implied in alert.implied:
            yield _silence(
                [f'alertname="{implied.by}"'], [f'alertname="{alert.name}"'], *implied.equal
            )


def _silence(source: list[str], target: list[str], *equal: str) -> Document:
    """Only what woke somebody silences: a ticket must not hide a page."""
    made: Document = {
        "source_matchers": [*source, 'severity="page"'],
        "target_matchers": target,
    }
    return made | ({"equal": list(equal)} if equal else {})


def _distinct(records: Records) -> Iterable[Alert]:
    """One alert of each name."""
    return {alert.name: alert for group in groups(records) for alert in group.alerts}.values()
