"""Messages put into topics and read from them, in the broker's own pod: past every service."""

import shlex
from collections.abc import Sequence
from typing import Any

from bootstrap.kube import Kube
from components.servers.kafka.config import CONFIG_PATH

# A node's own way in; a client's password would have to get there first.
_TOOL = f"""
exec java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \\
  -Dlog4j2.configurationFile={CONFIG_PATH}/log4j2.properties -cp "/opt/kafka/libs/*" \\
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


def read(kube: Kube, topic: str, *, quiet_ms: int = 8_000) -> list[dict[str, Any]]:
    """All messages of a topic, until none comes for a while: key, value, and headers by name."""
    output = _run(
        kube,
        "",
        *("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", topic),
        *("--from-beginning", "--timeout-ms", str(quiet_ms)),
        *(
            part
            for given in ("print.key=true", "print.headers=true", f"key.separator={_BETWEEN}",
                          f"headers.separator={_BETWEEN}")
            for part in ("--formatter-property", given)
        ),
    )  # fmt: skip
    return [_message(line) for line in output.splitlines() if _BETWEEN in line]


def _message(line: str) -> dict[str, Any]:
    """As the formatter prints one: headers, key, value; a header as NAME:VALUE."""
    *headers, key, value = line.split(_BETWEEN)
    named = (header.partition(":") for header in headers)
    return {"key": key, "value": value, **{name: text for name, _, text in named}}


def _run(kube: Kube, stdin: str, *command: str) -> str:
    script = f"set -- {shlex.join(command)}\n{_TOOL}"
    shell = ("bash", "-c", script)
    return kube.run("exec", "-i", "-n", "data", "kafka-0", "--", *shell, stdin=stdin, timeout=120)
