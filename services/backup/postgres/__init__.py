"""PostgreSQL: base backups and the write-ahead log, by the programs that come with the server."""
