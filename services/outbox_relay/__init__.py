"""Carries the events of one outbox database to Kafka, in order per aggregate, at least once."""
