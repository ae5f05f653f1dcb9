"""Writes the tables of docs/configuration.md and docs/services.md from the code they describe."""
