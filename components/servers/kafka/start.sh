#!/usr/bin/env bash
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

# Beside it and not in it: an image may come without.
agent=()
if [ -n "${METRICS_PORT:-}" ]; then
  if [ -f @AGENT@ ]; then
    agent=("-javaagent:@AGENT@=$METRICS_PORT:@CONFIG@/@METRICS@")
  else
    echo "this image has no @AGENT@: nobody will know how $POD_NAME fares" >&2
  fi
fi

# exec: the JVM gets SIGTERM itself and hands its partitions over before it stops.
exec java "${agent[@]}" "-Xms${HEAP_MEBIBYTES}m" "-Xmx${HEAP_MEBIBYTES}m" -XX:+UseG1GC \
  -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
  -XX:+ExplicitGCInvokesConcurrent -XX:+ExitOnOutOfMemoryError \
  -Djava.awt.headless=true -Djava.io.tmpdir=/tmp \
  -Dlog4j2.configurationFile=@CONFIG@/log4j2.properties \
  -cp "/opt/kafka/libs/*" kafka.Kafka "$config"
