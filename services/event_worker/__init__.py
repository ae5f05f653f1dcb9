"""Writes every event of the five topics into workerdb, once each and in order per resource."""
