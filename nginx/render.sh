#!/bin/sh
# Renders the gateway's configuration: nginx/render.sh OUTPUT_DIR
#
# Settings come from the environment; nginx/README.md lists them. OUTPUT_DIR is made anew.
set -eu

fail() {
  echo "render.sh: $*" >&2
  exit 1
}

[ $# -eq 1 ] || fail "usage: nginx/render.sh OUTPUT_DIR"
output=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v envsubst >/dev/null || fail "envsubst is missing; install the package gettext-base"

for name in PUSHGATE_LISTEN PUSHGATE_STATE_DIR PUSHGATE_MODULE_DIR; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || fail "$name is not set; nginx/README.md says what it is"
done

# What nginx would take for the end of a word or a directive.
for name in PUSHGATE_STATE_DIR PUSHGATE_MODULE_DIR PUSHGATE_PRIVATE_SOCKET \
  PUSHGATE_TLS_CERTIFICATE PUSHGATE_TLS_KEY PUSHGATE_PRIVATE_LISTEN PUSHGATE_PID_FILE PUSHGATE_WORKERS PUSHGATE_PING_SECONDS \
  PUSHGATE_CONNECTIONS PUSHGATE_ENGINE_MEMORY PUSHGATE_RECENT_MEMORY PUSHGATE_USER \
  PUSHGATE_ACCESS_LOG; do
  eval "value=\${$name:-}"
  case $value in
    *[!A-Za-z0-9._:/@%+=,\[\]-]*) fail "$name \"$value\": only A-Z a-z 0-9 and . _ : / @ % + = , - fit here" ;;
  esac
done

: "${PUSHGATE_PRIVATE_SOCKET:=$PUSHGATE_STATE_DIR/private.sock}"
: "${PUSHGATE_PRIVATE_LISTEN:=}"
: "${PUSHGATE_TLS_CERTIFICATE:=}"
: "${PUSHGATE_TLS_KEY:=}"
: "${PUSHGATE_PID_FILE:=$PUSHGATE_STATE_DIR/gateway.pid}"
: "${PUSHGATE_WORKERS:=auto}"
: "${PUSHGATE_PING_SECONDS:=15}"
: "${PUSHGATE_ENGINE:=push_stream}"
: "${PUSHGATE_ENGINE_MEMORY:=256m}"
: "${PUSHGATE_RECENT_MEMORY:=64m}"
: "${PUSHGATE_LUA_DIR:=$(dirname "$here")/lua}"
: "${PUSHGATE_LUA_PATH:=/usr/share/lua/5.1/?.lua}"
: "${PUSHGATE_LUA_CPATH:=}"

case $PUSHGATE_ENGINE in
  *[!a-z_]*) fail "PUSHGATE_ENGINE \"$PUSHGATE_ENGINE\": use $(ls "$here/engines" | tr '\n' ' ')" ;;
esac
[ -d "$here/engines/$PUSHGATE_ENGINE" ] ||
  fail "PUSHGATE_ENGINE \"$PUSHGATE_ENGINE\": use $(ls "$here/engines" | tr '\n' ' ')"

# As many descriptors as this process may have; more would only make nginx complain.
descriptors=$(ulimit -Hn)
case $descriptors in
  unlimited) descriptors=262144 ;;
esac
[ "$descriptors" -le 262144 ] || descriptors=262144
PUSHGATE_DESCRIPTORS=$descriptors
# nginx sets memory aside for each connection a worker may have, 0.4 KB.
if [ -z "${PUSHGATE_CONNECTIONS:-}" ]; then
  PUSHGATE_CONNECTIONS=65536
  [ "$PUSHGATE_CONNECTIONS" -le "$descriptors" ] || PUSHGATE_CONNECTIONS=$descriptors
fi

# Names are looked up where the machine looks them up.
if [ -z "${PUSHGATE_RESOLVER:-}" ]; then
  PUSHGATE_RESOLVER=$(sed -n 's/^nameserver[[:space:]]\{1,\}\([^[:space:]]*\).*/\1/p' \
    /etc/resolv.conf 2>/dev/null | head -n 1)
  case $PUSHGATE_RESOLVER in
    "") PUSHGATE_RESOLVER=127.0.0.1 ;;
    *:*) PUSHGATE_RESOLVER="[$PUSHGATE_RESOLVER]" ;;
  esac
fi

# Workers run as whoever starts nginx, unless root names somebody else.
PUSHGATE_USER_DIRECTIVE=
if [ "$(id -u)" -eq 0 ]; then
  PUSHGATE_USER_DIRECTIVE="user ${PUSHGATE_USER:-root};"
fi

# Lines are written together, but not later than a second.
PUSHGATE_ACCESS_LOG_DIRECTIVE=off
if [ -n "${PUSHGATE_ACCESS_LOG:-}" ]; then
  PUSHGATE_ACCESS_LOG_DIRECTIVE="$PUSHGATE_ACCESS_LOG pushgate buffer=4k flush=1s"
fi

# One or several addresses, all with TLS or none.
case ${PUSHGATE_TLS_CERTIFICATE:-}:${PUSHGATE_TLS_KEY:-} in
  :) tls= ;;
  :*) fail "PUSHGATE_TLS_KEY needs a PUSHGATE_TLS_CERTIFICATE" ;;
  *:) fail "PUSHGATE_TLS_CERTIFICATE needs a PUSHGATE_TLS_KEY" ;;
  *) tls=" ssl" ;;
esac
PUSHGATE_LISTEN_DIRECTIVES=
for address in $PUSHGATE_LISTEN; do
  case $address in
    *[!A-Za-z0-9.:\[\]-]*) fail "PUSHGATE_LISTEN \"$address\": only A-Z a-z 0-9 and . : [ ] - fit here" ;;
  esac
  PUSHGATE_LISTEN_DIRECTIVES="$PUSHGATE_LISTEN_DIRECTIVES
  listen $address backlog=16384$tls;"
done

# The last address in X-Forwarded-For that is not one of theirs is the client's.
PUSHGATE_REAL_ADDRESS_DIRECTIVES=
for network in ${PUSHGATE_TRUSTED_PROXIES:-}; do
  case $network in
    *[!0-9A-Fa-f.:/]*) fail "PUSHGATE_TRUSTED_PROXIES \"$network\": write addresses or networks, 10.0.0.0/8 say" ;;
  esac
  PUSHGATE_REAL_ADDRESS_DIRECTIVES="$PUSHGATE_REAL_ADDRESS_DIRECTIVES
set_real_ip_from $network;"
done
if [ -n "$PUSHGATE_REAL_ADDRESS_DIRECTIVES" ]; then
  PUSHGATE_REAL_ADDRESS_DIRECTIVES="$PUSHGATE_REAL_ADDRESS_DIRECTIVES
real_ip_header X-Forwarded-For;
real_ip_recursive on;"
fi

if [ -n "$PUSHGATE_PRIVATE_LISTEN" ] && [ -z "${PUSHGATE_PRIVATE_KEY:-}" ]; then
  fail "PUSHGATE_PRIVATE_LISTEN needs a PUSHGATE_PRIVATE_KEY"
fi

export PUSHGATE_STATE_DIR PUSHGATE_MODULE_DIR PUSHGATE_PRIVATE_SOCKET \
  PUSHGATE_PRIVATE_LISTEN PUSHGATE_PID_FILE PUSHGATE_WORKERS PUSHGATE_PING_SECONDS \
  PUSHGATE_ENGINE_MEMORY PUSHGATE_RECENT_MEMORY PUSHGATE_LUA_DIR PUSHGATE_LUA_PATH \
  PUSHGATE_LUA_CPATH PUSHGATE_CONNECTIONS PUSHGATE_DESCRIPTORS PUSHGATE_RESOLVER PUSHGATE_USER_DIRECTIVE \
  PUSHGATE_REAL_ADDRESS_DIRECTIVES PUSHGATE_LISTEN_DIRECTIVES PUSHGATE_TLS_CERTIFICATE \
  PUSHGATE_TLS_KEY PUSHGATE_ACCESS_LOG_DIRECTIVE
# shellcheck disable=SC2016  # names for envsubst, not values
names='${PUSHGATE_STATE_DIR} ${PUSHGATE_MODULE_DIR} ${PUSHGATE_PRIVATE_SOCKET}
  ${PUSHGATE_PRIVATE_LISTEN} ${PUSHGATE_PID_FILE} ${PUSHGATE_WORKERS} ${PUSHGATE_PING_SECONDS}
  ${PUSHGATE_ENGINE_MEMORY} ${PUSHGATE_RECENT_MEMORY} ${PUSHGATE_LUA_DIR} ${PUSHGATE_LUA_PATH}
  ${PUSHGATE_LUA_CPATH} ${PUSHGATE_CONNECTIONS} ${PUSHGATE_DESCRIPTORS} ${PUSHGATE_RESOLVER}
  ${PUSHGATE_USER_DIRECTIVE} ${PUSHGATE_REAL_ADDRESS_DIRECTIVES}
  ${PUSHGATE_LISTEN_DIRECTIVES} ${PUSHGATE_TLS_CERTIFICATE} ${PUSHGATE_TLS_KEY}
  ${PUSHGATE_ACCESS_LOG_DIRECTIVE}'

# Renders the templates of one folder into another.
render() {
  mkdir -p "$2"
  rm -f "$2"/*.conf
  for template in "$1"/*.conf; do
    [ "${template##*/}" = private_tcp.conf ] && [ -z "$PUSHGATE_PRIVATE_LISTEN" ] && continue
    [ "${template##*/}" = tls.conf ] && [ -z "$PUSHGATE_TLS_CERTIFICATE" ] && continue
    envsubst "$names" <"$template" >"$2/${template##*/}"
  done
}

mkdir -p "$PUSHGATE_STATE_DIR/temporary"
for folder in . main events http servers locations snippets; do
  render "$here/$folder" "$output/$folder"
done
render "$here/engines/$PUSHGATE_ENGINE" "$output/engine"
