"""python -m services.provision postgres|kafka --spec FILE [--wait SECONDS]"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from services.provision import kafka, postgres, spec
from services.shared.runtime import logging, settings


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when the server is as the spec wants it, 1 with one clear line when not."""
    parser = argparse.ArgumentParser(prog="python -m services.provision", description=__doc__)
    parser.add_argument("server", choices=["postgres", "kafka"])
    parser.add_argument("--spec", type=Path, required=True, help="JSON file, see spec.py")
    parser.add_argument(
        "--wait", type=float, default=120, help="seconds to wait for the server (default: 120)"
    )
    arguments = parser.parse_args(argv)
    logging.configure(f"provision-{arguments.server}")
    log = logging.get_logger(__name__)
    try:
        if arguments.server == "postgres":
            wanted = spec.read(spec.PostgresSpec, arguments.spec)
            asyncio.run(postgres.provision(wanted, wait_seconds=arguments.wait))
        else:
            kafka.provision(spec.read(spec.KafkaSpec, arguments.spec), wait_seconds=arguments.wait)
    except (spec.SpecError, settings.SettingsError, spec.ProvisionError) as error:
        log.error("provisioning_failed", server=arguments.server, reason=str(error))
        return 1
    log.info("provisioned", server=arguments.server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
