"""What is watched, when somebody is told, and what is shown, as data; no Pulumi here.

`slos` says what the services promise, `burn_rates` makes rules of it, `alerts` has the rest, a file
per area; `rules` writes all of them for Prometheus, `routing` for Alertmanager, `openslo` for
others. Each rule carries its own tests (`forms.Case`), which promtool runs. `boards` has the
dashboards, `grafana` writes them for Grafana; `catalogue` lists what the services register.

Every series has `job`, the name of the record that it is about, and mostly `namespace` and `pod`;
`exporters` says of what is not a service's own where it comes from.
"""
