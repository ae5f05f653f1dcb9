"""``python -m loadtests.generator master|worker``: one process of a load run.

The plan is in the environment, in a pod as on a machine. The master starts its workers itself
unless it was told the address at which it listens, for those who are started elsewhere.
"""

import logging
import os
import resource
import sys

from loadtests.generator import master, worker
from loadtests.run.plan import MASTER_VARIABLE, PLAN_VARIABLE, Plan, check_open_files


def main() -> None:
    """Be what the first argument says until the run is over."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # One open file for each user, and the soft limit may be a thousand.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = Plan.model_validate_json(os.environ[PLAN_VARIABLE])
    address = os.environ.get(MASTER_VARIABLE)
    role = sys.argv[1] if len(sys.argv) == 2 else ""
    if role == "master":
        master.run(plan, address)
    elif role == "worker" and address is not None:
        try:
            check_open_files(plan, most)  # a pod's limit is its node's
        except ValueError as error:
            sys.exit(str(error))
        worker.run(plan, address)
    else:
        sys.exit(f"say master, or worker with {MASTER_VARIABLE}, not {sys.argv[1:]}")


if __name__ == "__main__":
    main()
