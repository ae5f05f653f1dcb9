#!/usr/bin/env bash
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
