"""Replaces secrets while all goes on: the stack's file says how far it is, updates do the work."""
