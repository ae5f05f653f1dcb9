#!/bin/sh
# Starts Redis, and has it take another certificate while it runs: new connections get it, the others
# stay. The operator's password is read from its files each time: while it is replaced there are two,
# and the server may not have read of the new one yet.
served=$(cat @TLS@/tls.crt)
reload_tls() {
  for file in @OPERATOR@/password @OPERATOR@/previous; do
    [ -e "$file" ] || continue
    REDISCLI_AUTH=$(cat "$file")
    export REDISCLI_AUTH
    # The same paths: Redis reads the files again, and takes neither unless they fit together.
    redis-cli --tls --cacert @TLS@/ca.crt -h 127.0.0.1 -p @PORT@ --user @USER@ --no-auth-warning \
      config set tls-cert-file @TLS@/tls.crt tls-key-file @TLS@/tls.key \
      tls-ca-cert-file @TLS@/ca.crt | grep -qx OK && return
  done
  return 1
}
while sleep 20; do
  mounted=$(cat @TLS@/tls.crt)
  if [ "$mounted" != "$served" ] && reload_tls; then
    served=$mounted
  fi
done &

exec redis-server @CONFIG@/redis.conf
