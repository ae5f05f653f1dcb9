"""The boards as a page: what Prometheus says, drawn; for where no Grafana runs, and for keeping."""
