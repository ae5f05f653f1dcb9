"""python -m services.auth_service"""

from __future__ import annotations

import sys

import uvloop

from services.auth_service.settings import AuthSettings
from services.auth_service.wiring import Means, run
from services.shared.runtime import logging
from services.shared.runtime.settings import (
    DatabaseSettings,
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
        means = Means(settings, load(AuthSettings), load(DatabaseSettings))
        with traced(settings.service_name, load(TracingSettings)):
            uvloop.run(run(means))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
