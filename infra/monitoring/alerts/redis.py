"""Redis servers: their memory and their log."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Group, Implied, Said, series

_STREAM: Final = {"job": "redis-stream", "pod": "redis-stream-0"}

GROUP: Final = Group(
    "redis",
    (
        Alert(
            "RedisFull",
            "max by (job) (redis_memory_used_bytes)"
            " / (max by (job) (redis_memory_max_bytes) > 0) > 0.8",
            severity="ticket",  # before the server refuses, documents are, which wakes
            layer="symptom",
            owner="data",
            pending="15m",
            summary="{{ $labels.job }} uses {{ $value | humanizePercentage }} of its memory",
            description=(
                "A cache drops what was least used. A server that keeps what it has refuses writes"
                " at 100 %; documents are refused from 85 % on."
            ),
            implied=(Implied("StreamFills", equal=()),),
            cases=(
                Case(
                    {
                        series("redis_memory_used_bytes", **_STREAM): "900x20",
                        series("redis_memory_max_bytes", **_STREAM): "1000x20",
                    },
                    "17m",
                    (Said({"job": "redis-stream"}, "redis-stream uses 90% of its memory"),),
                ),
                Case(
                    {
                        series("redis_memory_used_bytes", **_STREAM): "790x20",
                        series("redis_memory_max_bytes", **_STREAM): "1000x20",
                    },
                    "17m",
                ),
            ),
        ),
        Alert(
            "RedisNotWritten",
            "min by (job) (redis_aof_last_write_status) == 0",
            severity="page",
            layer="server",
            owner="data",
            pending="1m",
            lingers="5m",
            summary="{{ $labels.job }} cannot write its log",
            description="Its disk is full or broken. It refuses writes, which it could not keep.",
            implied=(Implied("ServerDown"),),
            cases=(
                Case(
                    {series("redis_aof_last_write_status", **_STREAM): "0x9"},
                    "2m",
                    (Said({"job": "redis-stream"}, "redis-stream cannot write its log"),),
                ),
                Case({series("redis_aof_last_write_status", **_STREAM): "1x9"}, "2m"),
            ),
        ),
    ),
)
