"""What looks at the platform while a load runs, without disturbing it."""
