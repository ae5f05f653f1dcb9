#!/bin/sh
REDISCLI_AUTH=$(cat @HEALTH@/password)
export REDISCLI_AUTH
redis-cli --tls --cacert @TLS@/ca.crt -h 127.0.0.1 -p @PORT@ --user @USER@ \
  --no-auth-warning ping | grep -qx PONG
