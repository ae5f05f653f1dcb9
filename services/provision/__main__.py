"""python -m services.provision ENGINE --spec FILE [--wait SECONDS]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.provision import spec
from services.provision.engines import ENGINES
from services.shared.runtime import logging, settings, specs


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when the server is as the spec wants it, 1 with one clear line when not."""
    parser = argparse.ArgumentParser(prog="python -m services.provision", description=__doc__)
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("--spec", type=Path, required=True, help="JSON file, see spec.py")
    parser.add_argument(
        "--wait", type=float, default=120, help="seconds to wait for the server (default: 120)"
    )
    arguments = parser.parse_args(argv)
    logging.configure(f"provision-{arguments.engine}")
    log = logging.get_logger(__name__)
    try:
        ENGINES[arguments.engine](arguments.spec, arguments.wait)
    except (specs.SpecError, settings.SettingsError, spec.ProvisionError) as error:
        log.error("provisioning_failed", server=arguments.engine, reason=str(error))
        return 1
    log.info("provisioned", server=arguments.engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
