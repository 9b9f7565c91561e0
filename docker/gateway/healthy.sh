#!/bin/sh
# Ends with 0 when the gateway answers 200 and says its words: healthy [PATH]
#
# /healthz, the default: nginx works. /readyz: it follows the log in Redis as well.
set -eu
exec curl --fail-with-body --silent --show-error --max-time 3 \
  --unix-socket "$PUSHGATE_PRIVATE_SOCKET" "http://gateway${1:-/healthz}"
