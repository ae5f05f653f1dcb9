"""MySQL: logical dumps, and an archive of the binary log."""
