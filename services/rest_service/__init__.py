"""The REST API for resources: every write is a row and its outbox event in one statement."""
