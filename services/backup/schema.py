"""Whether what was backed up has the schema that this code needs, and what brings it there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from services.backup.engine import BackupError, Job


def older(job: Job, found: str | None, *, allowed: bool) -> bool:
    """Whether a schema has to be migrated. Raises BackupError when it may not, or cannot."""
    if job.spec.package is None:
        return False
    # Half a second of work that taking, listing and proving backups has no use for.
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    # `migrations` lies with the service that owns the database, in the same image.
    folder = Path(__file__).parents[1] / job.spec.package / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(folder))
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    if head == found:
        return False
    if found is not None and found not in {one.revision for one in scripts.walk_revisions()}:
        raise BackupError(
            f"its schema revision {found} is unknown to this code, which knows up to {head}: it is "
            "of a later release or of another database; restore it with that release"
        )
    if not allowed:
        raise BackupError(
            f"its schema revision is {found or 'none'} and this code needs {head}; say MIGRATE=1"
            " (--migrate) to bring it there before it goes live"
        )
    return True


def migrate(job: Job, engine: str, restored: str) -> None:
    """The runner of every other migration, on what was restored under another name, as the
    administrator."""
    server = job.spec.server
    assert job.spec.package is not None
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "services.migrate", job.spec.database,
         "--package", job.spec.package, "--engine", engine],
        env=os.environ
        | {
            "DATABASE_HOST": server.host,
            "DATABASE_PORT": str(server.port),
            "DATABASE_NAME": restored,
            "DATABASE_USER": server.administrator.user,
            "DATABASE_PASSWORD_FILE": str(server.administrator.password_file),
            "DATABASE_CA_FILE": str(server.ca_file),
        },
        capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip().splitlines()[-1:]
        raise BackupError(f"the migration of what was restored failed: {' '.join(said)[:1500]}")
