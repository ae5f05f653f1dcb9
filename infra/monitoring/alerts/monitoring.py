"""Whether all of this would notice anything."""

from typing import Final

from infra.model.records import Records
from infra.monitoring.alerts import signals
from infra.monitoring.forms import Alert, Case, Group, Implied, Said, series
from infra.monitoring.presence import asked, expected


def group(records: Records) -> Group:
    """Rules about what the records say there is."""
    told = (_RULES, _CONFIGURATION, _NOTIFICATIONS, signals.SPANS, signals.LOGS)
    return Group("monitoring", (_absent(records), _TARGET, *told, _WATCHDOG))


def _absent(records: Records) -> Alert:
    wanted = expected(records)
    there = {series(one.metric, job=one.job if one.own else "any"): "1x20" for one in wanted}
    gone = next(one for one in wanted if one.own)
    told = next(one for one in wanted if not one.own)
    without = {series(gone.metric, job=gone.job), series(told.metric, job="any")}
    servers = asked(records)
    known = "|".join(servers)
    missing = "\nor ".join(one.absent for one in wanted)
    blind = series("up", job=servers[0], pod=f"{servers[0]}-0")
    return Alert(
        "SeriesAbsent",
        f"({missing})"
        # Where only the exporter is away TargetDown tells, and nothing is wrong with the server.
        f'\nunless on (job) up{{job=~"{known}", pod=~"({known})-[0-9]+"}} == 0',
        severity="page",
        layer="symptom",
        owner="platform",
        pending="10m",
        summary="{{ $labels.job }}: nothing says {{ $labels.metric }}",
        description=(
            "Alerts that go by it cannot fire. {{ $labels.job }} is gone, is not asked, or no"
            " longer has a metric of that name."
        ),
        implied=(
            Implied("ServiceDown"),
            Implied("ServerDown"),
            Implied("KafkaNoController"),
        ),
        cases=(
            Case(
                {name: v for name, v in there.items() if name not in without} | {blind: "1x20"},
                "12m",
                tuple(
                    Said(
                        {"job": one.job, "metric": one.metric},
                        f"{one.job}: nothing says {one.metric}",
                    )
                    for one in (gone, told)
                ),
            ),
            Case(there, "12m"),
            Case(
                {name: v for name, v in there.items() if f'job="{servers[0]}"' not in name}
                | {blind: "0x20"},
                "12m",
            ),
        ),
    )


_POD: Final = {"job": "a", "instance": "10.0.0.1:80", "pod": "a-1"}
_NODE: Final = {"job": "kubelet", "instance": "n-1", "node": "n-1"}

_TARGET: Final = Alert(
    "TargetDown",
    # A kubelet is no pod; its instance is its node.
    'label_replace(label_replace(up == 0, "target", "$1", "instance", "(.+)"),'
    ' "target", "$1", "pod", "(.+)")',
    severity="ticket",
    layer="symptom",
    owner="platform",
    pending="10m",
    summary="{{ $labels.target }} of {{ $labels.job }} does not say how it is",
    description="Prometheus cannot read its metrics: it is away, or lets nobody in.",
    implied=(Implied("ServiceDown"), Implied("ServerDown"), Implied("PodRestarts")),
    cases=(
        Case(
            {
                series("up", **_POD): "0x20",
                series("up", job="a", instance="10.0.0.2:80", pod="a-2"): "1x20",
                series("up", **_NODE): "0x20",
            },
            "12m",
            (
                Said(_POD | {"target": "a-1"}, "a-1 of a does not say how it is"),
                Said(_NODE | {"target": "n-1"}, "n-1 of kubelet does not say how it is"),
            ),
        ),
        Case({series("up", **_POD): "1x20", series("up", **_NODE): "1x20"}, "12m"),
    ),
)

_RULES: Final = Alert(
    "RulesFail",
    "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[10m])) > 0",
    severity="ticket",
    layer="symptom",
    owner="platform",
    pending="10m",
    summary="rules of {{ $labels.rule_group }} cannot be evaluated",
    description="Alerts of that group may not fire: two series match where one should.",
    cases=(
        Case(
            {series("prometheus_rule_evaluation_failures_total", rule_group="g"): "0+1x30"},
            "20m",
            (Said({"rule_group": "g"}, "rules of g cannot be evaluated"),),
        ),
        Case({series("prometheus_rule_evaluation_failures_total", rule_group="g"): "5x30"}, "20m"),
    ),
)

_CONFIGURATION: Final = Alert(
    "ConfigurationRefused",
    "prometheus_config_last_reload_successful == 0"
    " or alertmanager_config_last_reload_successful == 0",
    severity="ticket",
    layer="symptom",
    owner="platform",
    pending="10m",
    summary="{{ $labels.job }} goes on with an older configuration",
    description=(
        "It refused the newest one, so what the last update said of targets, rules or receivers is"
        " not in force; a pod that starts anew would not start at all."
    ),
    cases=(
        Case(
            {
                series("prometheus_config_last_reload_successful", job="prometheus"): "1x5 0x20",
                series("alertmanager_config_last_reload_successful", job="alertmanager"): "0x25",
            },
            "18m",
            (
                Said({"job": "prometheus"}, "prometheus goes on with an older configuration"),
                Said({"job": "alertmanager"}, "alertmanager goes on with an older configuration"),
            ),
        ),
        Case(
            {
                series("prometheus_config_last_reload_successful", job="prometheus"): "0x5 1x20",
                series("alertmanager_config_last_reload_successful", job="alertmanager"): "1x25",
            },
            "18m",
        ),
    ),
)

_NOTIFICATIONS: Final = Alert(
    "NotificationsFail",
    "sum by (integration) (increase(alertmanager_notifications_failed_total[10m])) > 0",
    severity="ticket",
    layer="symptom",
    owner="platform",
    pending="10m",
    summary="nobody is reached by {{ $labels.integration }}",
    description=(
        "Alertmanager is refused or gets no answer there. Receivers of another kind still hear of"
        " this one; who watches the heartbeat from outside hears of all of them."
    ),
    cases=(
        Case(
            {series("alertmanager_notifications_failed_total", integration="slack"): "0+1x30"},
            "20m",
            (Said({"integration": "slack"}, "nobody is reached by slack"),),
        ),
        Case(
            {series("alertmanager_notifications_failed_total", integration="slack"): "3x30"}, "20m"
        ),
    ),
)

_WATCHDOG: Final = Alert(
    "Watchdog",
    "count(up == 1) > 0",
    severity="none",
    layer="symptom",
    owner="platform",
    summary="{{ $value }} targets are watched",
    description=(
        "Always fires while Prometheus sees anything. Who gets it as a heartbeat, outside of this"
        " cluster, has to call somebody when it no longer comes."
    ),
    cases=(
        Case({series("up", job="a"): "1x5"}, "3m", (Said({}, "1 targets are watched"),)),
        Case({series("up", job="a"): "0x5"}, "3m"),
    ),
)
