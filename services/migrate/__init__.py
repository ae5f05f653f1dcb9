"""Brings a database's schema to a revision; the migrations lie with the service that owns it."""
