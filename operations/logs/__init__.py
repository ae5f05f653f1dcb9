"""Lines of all pods' logs, found by an id that requests and messages carry."""
