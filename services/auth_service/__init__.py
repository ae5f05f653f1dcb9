"""The authorization server: clients in MySQL, short-lived signed access tokens."""
