"""Writes down who changed which resource, and when."""
