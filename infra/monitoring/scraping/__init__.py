"""What Prometheus asks, how, and what of the answers it keeps: `scrape_configs`, as data.

A module per kind of target, each of which gives jobs of `prometheus.yml`; `configuration` is the
whole file. All find pods by one and the same block of service discovery (`parts.PODS`), of which
Prometheus then keeps one watch for all.
"""
