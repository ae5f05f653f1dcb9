"""Where backups lie: a folder of a claim, or object storage."""
