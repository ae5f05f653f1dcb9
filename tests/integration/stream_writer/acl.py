"""What the writer's user may do on the stream's server."""

from __future__ import annotations

COMMANDS = (
    "evalsha",
    "script|load",
    "xreadgroup",
    "xgroup|create",
    "xgroup|delconsumer",
    "xinfo|consumers",
    "xack",
    "xdel",
    "xautoclaim",
    "xclaim",
    "xpending",
    "xadd",
    "xrange",
    "xrevrange",
    "xlen",
    "hget",
    "hset",
    "del",
    "get",
    "set",
    "time",
)
