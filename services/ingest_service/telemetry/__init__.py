"""Takes points of devices into Kafka, and shows what became of them in the telemetry database."""
