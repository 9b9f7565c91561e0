#!/bin/sh
# Ends with 0 when Redis answers PING; while it loads its file it answers something else.
set -eu
[ "$(redis-cli -t 3 ping)" = PONG ]
