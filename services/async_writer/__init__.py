"""Telemetry from Kafka into MySQL: many points in one statement, the newest value of each stays."""
