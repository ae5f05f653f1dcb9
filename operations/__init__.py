"""What an operator asks of the databases: backups, restores, migrations, as Jobs on the cluster."""
