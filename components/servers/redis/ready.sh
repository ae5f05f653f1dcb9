#!/bin/sh
# While the password is replaced there are two, and the server may not have read of the new one yet.
for file in @HEALTH@/password @HEALTH@/previous; do
  [ -e "$file" ] || continue
  REDISCLI_AUTH=$(cat "$file")
  export REDISCLI_AUTH
  redis-cli --tls --cacert @TLS@/ca.crt -h 127.0.0.1 -p @PORT@ --user @USER@ \
    --no-auth-warning ping | grep -qx PONG && exit 0
done
exit 1
