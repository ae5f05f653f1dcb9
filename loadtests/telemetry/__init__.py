"""Points of devices as clients meet them: what is sent and answered, and the books over them."""
