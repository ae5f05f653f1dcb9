#!/usr/bin/env bash
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
