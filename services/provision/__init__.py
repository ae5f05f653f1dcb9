"""Jobs that bring a server to what the platform needs of it, each safe to run again."""
