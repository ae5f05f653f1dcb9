"""Takes backups, proves them by restoring, restores them; runs inside a Job's pod."""
