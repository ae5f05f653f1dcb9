"""python -m services.rest_service"""

from __future__ import annotations

import sys

import uvloop

from services.rest_service.settings import DataStoreSettings, IdempotencySettings
from services.rest_service.wiring import Means, run
from services.shared.auth.settings import AuthenticationSettings
from services.shared.limits.settings import RateLimitSettings
from services.shared.limits.wiring import LimitMeans
from services.shared.runtime import logging
from services.shared.runtime.settings import (
    BreakerSettings,
    DatabaseSettings,
    RedisSettings,
    ServiceSettings,
    SettingsError,
    load,
)
from services.shared.tracing.settings import TracingSettings
from services.shared.tracing.setup import traced


def main() -> int:
    """Exit code 0 after a graceful end, 1 with one line per variable when not configured."""
    try:
        settings = load(ServiceSettings)
        logging.configure(settings.service_name, settings.log_level)
        means = Means(
            settings,
            load(DatabaseSettings),
            load(DataStoreSettings),
            load(RedisSettings),
            load(IdempotencySettings),
            load(AuthenticationSettings),
            LimitMeans(load(RateLimitSettings), load(BreakerSettings)),
        )
        with traced(settings.service_name, load(TracingSettings)):
            uvloop.run(run(means))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
