"""Stream writer: takes accepted documents from the Redis stream into PostgreSQL, once each."""
