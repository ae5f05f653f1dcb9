"""The shape of a stack file: frozen models, extra keys forbidden, one validator per failure.

What a stack file leaves out is filled in here: `Pulumi.yaml` declares every top-level key without
a default (so each stack file names all of them), and the nested defaults are those of the models.
Keys are camelCase in YAML, as everywhere in Pulumi, and snake_case in Python.

The docstrings of fields and validators are the text of docs/configuration.md and of the JSON
schema (`make docs`): a validator's says what it insists on and why.

Secrets never enter these models: passwords come from `pulumi-random`, certificates from
`pulumi-tls`, both as Outputs.
"""

from infra.model.settings.authentication import AuthenticationSettings
from infra.model.settings.backups import BackupSettings, ServerBackupSettings
from infra.model.settings.base import Amounts, ResourceSettings, Settings
from infra.model.settings.cluster import EntrySettings, ImageSettings, KubernetesSettings
from infra.model.settings.loadtest import LoadtestSettings
from infra.model.settings.logs import LogsSettings
from infra.model.settings.monitoring import (
    EmailSettings,
    MonitoringSettings,
    PagerDutySettings,
    ReceiverSettings,
    SlackSettings,
    WebhookSettings,
)
from infra.model.settings.platform import PlatformSettings
from infra.model.settings.proxysql import ProxySQLSettings
from infra.model.settings.rotation import AuthoritySettings, PasswordSettings, RotationSettings
from infra.model.settings.servers import (
    OWN_SECTION,
    KafkaSettings,
    MySQLSettings,
    PostgresSettings,
    RedisSettings,
    ServersSettings,
)
from infra.model.settings.services import (
    NUMBER,
    RANGE,
    DownSettings,
    ReplicaRange,
    ServiceSettings,
    ServicesSettings,
    UpSettings,
)
from infra.model.settings.tracing import TracingSettings
from infra.model.settings.watching import (
    AlertmanagerSettings,
    GrafanaSettings,
    PrometheusSettings,
)

__all__ = [
    "NUMBER",
    "OWN_SECTION",
    "RANGE",
    "AlertmanagerSettings",
    "Amounts",
    "AuthenticationSettings",
    "AuthoritySettings",
    "BackupSettings",
    "DownSettings",
    "EmailSettings",
    "EntrySettings",
    "GrafanaSettings",
    "ImageSettings",
    "KafkaSettings",
    "KubernetesSettings",
    "LoadtestSettings",
    "LogsSettings",
    "MonitoringSettings",
    "MySQLSettings",
    "PagerDutySettings",
    "PasswordSettings",
    "PlatformSettings",
    "PostgresSettings",
    "PrometheusSettings",
    "ProxySQLSettings",
    "ReceiverSettings",
    "RedisSettings",
    "ReplicaRange",
    "ResourceSettings",
    "RotationSettings",
    "ServerBackupSettings",
    "ServersSettings",
    "ServiceSettings",
    "ServicesSettings",
    "Settings",
    "SlackSettings",
    "TracingSettings",
    "UpSettings",
    "WebhookSettings",
]
