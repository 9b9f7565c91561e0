#!/bin/sh
# Renders the configuration and becomes nginx: nginx/start.sh OUTPUT_DIR NGINX_COMMAND...
#
# Used by whatever supervises the gateway. A killed nginx leaves its unix sockets behind, and no
# nginx takes over a socket that is there: they are removed here, unless their nginx still runs.
set -eu

[ $# -ge 2 ] || {
  echo "start.sh: usage: nginx/start.sh OUTPUT_DIR NGINX_COMMAND..." >&2
  exit 1
}
output=$1
shift
# nginx gives its unix sockets to everybody: who may publish is who may enter their folder.
if [ -n "${PUSHGATE_STATE_DIR:-}" ] && [ ! -e "$PUSHGATE_STATE_DIR" ]; then
  mkdir -p -m 750 "$PUSHGATE_STATE_DIR"
  [ "$(id -u)" -ne 0 ] || chown "${PUSHGATE_USER:-root}" "$PUSHGATE_STATE_DIR"
elif [ -n "$(find "${PUSHGATE_STATE_DIR:-/nonexistent}" -maxdepth 0 -perm -o=x 2>/dev/null)" ]; then
  echo "start.sh: every user can enter $PUSHGATE_STATE_DIR and so publish; chmod o= it" >&2
fi
"$(dirname "$0")/render.sh" "$output"

pid_file=${PUSHGATE_PID_FILE:-$PUSHGATE_STATE_DIR/gateway.pid}
# The number may be another process' by now, or our own in a container. A program run through its
# loader goes by the loader's name.
if [ -s "$pid_file" ]; then
  pid=$(cat "$pid_file")
  name=
  [ "$pid" = $$ ] || read -r name 2>/dev/null <"/proc/$pid/comm" || name=
  case $name in
    nginx* | ld-linux*)
      echo "start.sh: a gateway runs already, pid $pid of $pid_file; stop it first" >&2
      exit 1
      ;;
  esac
fi
rm -f "$pid_file" "$PUSHGATE_STATE_DIR/engine.sock" \
  "${PUSHGATE_PRIVATE_SOCKET:-$PUSHGATE_STATE_DIR/private.sock}"
exec "$@" -p "$PUSHGATE_STATE_DIR" -c "$output/nginx.conf"
