"""The scripts a Kafka node starts with, is probed with, and waits with until it has caught up."""

from collections.abc import Mapping
from typing import Final

from components.servers.kafka import config as texts
from components.servers.kafka.quorum import VOTERS

IN_SYNC_FILE: Final = "/tmp/in-sync"  # noqa: S108 - the pod's own
"""There once the broker has been in sync since its start."""

START: Final = r"""#!/usr/bin/env bash
# Starts one Kafka node. Works with the official image and with any that has java and the jars.
set -euo pipefail
data=@DATA@
config=/tmp/server.properties
number=$((FIRST_NODE_ID + ${POD_NAME##*-}))

# cat, not cp: the mounted file is read-only, and a copy would be so too at the next start.
cat @CONFIG@/server.properties >"$config"
echo "node.id=$number" >>"$config"
if [ -n "$ADVERTISED_DOMAIN" ]; then
  host="$POD_NAME.$ADVERTISED_DOMAIN"
  echo "advertised.listeners=CLIENT://$host:@CLIENT@,INTERNAL://$host:@INTERNAL@" >>"$config"
fi

if [ ! -f "$data/kafka/meta.properties" ]; then
  # A voter that forgot its log could help elect a leader that lacks committed records.
  if [ -f "$data/formatted" ]; then
    echo "volume of $POD_NAME was formatted before, but $data/kafka/meta.properties is gone:" \
      "refusing to start with an empty log. Restore the volume, or delete its claim." >&2
    exit 1
  fi
  java -Xmx128m -Dlog4j2.configurationFile=@CONFIG@/log4j2.properties -cp "/opt/kafka/libs/*" \
    kafka.tools.StorageTool format "--cluster-id=$CLUSTER_ID" --config "$config"
fi
# Kafka itself takes any voters it is told, even when those with empty volumes are the majority.
voters() { { grep -oE "$1" || true; } | tr -dc '0-9\n' | sort -n | xargs; }
state="$data/kafka/__cluster_metadata-0/quorum-state"
if [ -f "$state" ]; then
  had=$(voters '"voterId":[0-9]+' <"$state")
  told=$(sed -n 's/^@VOTERS@=//p' "$config" | voters '[0-9]+@')
  if [ -n "$had" ] && [ "$had" != "$told" ]; then
    echo "the quorum on the volume of $POD_NAME has the voters $had, but the configuration has" \
      "$told: refusing to start, for new voters could elect a leader that knows no topics. Set" \
      "millrace:kafka.controllers (or, when it is 0, brokers) back to what it was." >&2
    exit 1
  fi
fi
if [ ! -f "$data/formatted" ]; then
  echo "$CLUSTER_ID" >"$data/formatted"
fi

rm -f @IN_SYNC@
# Unset: a pod of a version that did not know it, restarted during the rollout.
if [ -n "${REPLICATED:-}" ]; then
  bash @CONFIG@/in-sync.sh "$number" &
fi

# exec: the JVM gets SIGTERM itself and hands its partitions over before it stops.
exec java "-Xms${HEAP_MEBIBYTES}m" "-Xmx${HEAP_MEBIBYTES}m" -XX:+UseG1GC \
  -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
  -XX:+ExplicitGCInvokesConcurrent -XX:+ExitOnOutOfMemoryError \
  -Djava.awt.headless=true -Djava.io.tmpdir=/tmp \
  -Dlog4j2.configurationFile=@CONFIG@/log4j2.properties \
  -cp "/opt/kafka/libs/*" kafka.Kafka "$config"
"""

READY: Final = r"""#!/usr/bin/env bash
# Ready: the node completes a mutual TLS handshake with a certificate it would accept from a peer.
# Kafka opens its listeners only when logs are recovered and the metadata has been read.
# With a file named: it is there, too.
set -euo pipefail
if [ $# -gt 0 ] && [ ! -f "$1" ]; then
  echo "$1 is not there: this broker has not caught up yet" >&2
  exit 1
fi
if ! command -v openssl >/dev/null; then
  exec 3<>"/dev/tcp/127.0.0.1/$PROBE_PORT"
  exit
fi
exec openssl s_client -connect "127.0.0.1:$PROBE_PORT" -verify_return_error -brief \
  -CAfile @TLS@/ca.crt -cert @TLS@/tls.crt -key @TLS@/tls.key </dev/null
"""


IN_SYNC: Final = r"""#!/usr/bin/env bash
# Ends when this broker has been in sync, once since its start, wherever it keeps a copy. Until then
# a rollout must not stop the next one. In the background, as each question starts a JVM.
set -euo pipefail
number=$1

behind() {
  local line
  while IFS= read -r line; do
    # No match without a leader: such a partition waits for another broker, not for this one.
    if [[ $line =~ Leader:\ [0-9]+.*Replicas:\ ([0-9,]+).*Isr:\ ([0-9,]*) ]] &&
      [[ ,${BASH_REMATCH[1]}, == *,$number,* && ,${BASH_REMATCH[2]}, != *,$number,* ]]; then
      return 0
    fi
  done
  return 1
}

until (exec 3<>"/dev/tcp/127.0.0.1/$PROBE_PORT") 2>/dev/null; do
  sleep 2
done
unanswered=0
while true; do
  if said=$(java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dlog4j2.configurationFile=@CONFIG@/log4j2.properties -cp "/opt/kafka/libs/*" \
    org.apache.kafka.tools.TopicCommand --bootstrap-server "localhost:$PROBE_PORT" \
    --command-config @CONFIG@/client.properties --describe --under-replicated-partitions); then
    unanswered=0
    behind <<<"$said" || break
  elif ((++unanswered == 10)); then
    # That nobody answers must not keep a broker that serves from its clients for ever.
    echo "cannot tell whether broker $number is in sync; going on as if it were: $said" >&2
    break
  fi
  sleep 5
done
touch @IN_SYNC@
"""


def scripts() -> Mapping[str, str]:
    """File name to text, for the ConfigMap."""
    return {
        "start.sh": _filled(START),
        "ready.sh": _filled(READY),
        "in-sync.sh": _filled(IN_SYNC),
    }


def _filled(text: str) -> str:
    for name, value in {
        "DATA": texts.DATA_PATH,
        "CONFIG": texts.CONFIG_PATH,
        "TLS": texts.TLS_PATH,
        "CLIENT": str(texts.CLIENT_PORT),
        "INTERNAL": str(texts.INTERNAL_PORT),
        "VOTERS": VOTERS,
        "IN_SYNC": IN_SYNC_FILE,
    }.items():
        text = text.replace(f"@{name}@", value)
    return text
