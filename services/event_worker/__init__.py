"""Writes every event of resources and tasks into workerdb, once each and in order per resource."""
