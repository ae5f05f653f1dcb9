"""What meets the platform from outside, as its users do: clients, write streams, their ledger."""
