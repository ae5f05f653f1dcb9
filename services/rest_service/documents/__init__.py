"""Documents stored within the request: what the platform's stream is measured against."""
