"""What every service shares: settings, logs, metrics, health, errors, the database pool."""
