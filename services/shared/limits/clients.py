"""Whose requests are counted together."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


def named(client: str | None, address: str | None) -> str:
    """`client`: of a token; without one the address counts, of IPv6 its network of 64 bits, which
    is what one subscriber has."""
    return f"client:{client}" if client is not None else f"address:{_network(address)}"


@lru_cache(maxsize=4096)
def _network(address: str | None) -> str:
    if address is None or ":" not in address:
        return address or "unknown"
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))
