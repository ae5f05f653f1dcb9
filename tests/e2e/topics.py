"""Messages put into topics and read from them, in the broker's own pod: past every service."""

import shlex
from collections.abc import Sequence
from typing import Any

from bootstrap.kube import Kube
from components.servers.kafka.config import CONFIG_PATH

# A node's own way in; a client's password would have to get there first.
_TOOL = f"""
exec java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \\
  -cp "/opt/kafka/libs/*" \\
  "$@" --bootstrap-server "localhost:$PROBE_PORT" --command-config {CONFIG_PATH}/client.properties
"""
_BETWEEN = "\x01"
"""Of a message's parts, when it is printed."""


def put(kube: Kube, topic: str, messages: Sequence[tuple[str, str]]) -> None:
    """Keys and values, without tabs or line ends."""
    lines = "".join(f"{key}\t{value}\n" for key, value in messages)
    _run(
        kube,
        lines,
        *("org.apache.kafka.tools.ConsoleProducer", "--topic", topic),
        *("--reader-property", "parse.key=true"),
    )


def read(kube: Kube, topic: str) -> list[dict[str, Any]]:
    """All messages that a topic has now: key, value, and headers by name."""
    ends = _run(kube, "", "org.apache.kafka.tools.GetOffsetShell", "--topic", topic)
    count = sum(int(line.rpartition(":")[2]) for line in ends.split() if line.startswith(topic))
    if not count:
        return []
    properties = (
        *("print.key=true", "print.headers=true"),
        *(f"key.separator={_BETWEEN}", f"headers.separator={_BETWEEN}"),
    )
    output = _run(
        kube,
        "",
        *("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", topic),
        # The time is for those that were deleted meanwhile.
        *("--from-beginning", "--max-messages", str(count), "--timeout-ms", "60000"),
        *(part for given in properties for part in ("--formatter-property", given)),
    )
    return [_message(line) for line in output.splitlines() if _BETWEEN in line]


def _message(line: str) -> dict[str, Any]:
    """As the formatter prints one: headers, key, value; a header as NAME:VALUE."""
    *headers, key, value = line.split(_BETWEEN)
    named = (header.partition(":") for header in headers)
    return {"key": key, "value": value, **{name: text for name, _, text in named}}


def _run(kube: Kube, stdin: str, *command: str) -> str:
    script = f"set -- {shlex.join(command)}\n{_TOOL}"
    shell = ("bash", "-c", script)
    return kube.run("exec", "-i", "-n", "data", "kafka-0", "--", *shell, stdin=stdin, timeout=180)
