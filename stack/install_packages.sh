#!/bin/bash
# Installs the named Debian packages; run as root by setup.sh.
#
# Their services stay off: Pushgate starts its own nginx and Redis on its own ports and asks for
# nothing on 80 or 6379.
set -euo pipefail

readonly POLICY=/usr/sbin/policy-rc.d
readonly LOCK=/run/lock/pushgate-packages.lock

# apt waits for dpkg's lock but not for the one on its package lists, so two checkouts take turns here.
mkdir -p "${LOCK%/*}"
exec 9>"$LOCK"
flock --timeout 900 9 || { echo "another installation holds $LOCK for 15 minutes"; exit 1; }

if [[ ! -e $POLICY ]]; then
  trap 'rm -f "$POLICY"' EXIT
  trap 'exit 1' INT TERM HUP
  # 101: "the action is not allowed", in the words of Debian's policy layer.
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
fi

present_before=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' 2>/dev/null || true)

export DEBIAN_FRONTEND=noninteractive
# When the lists can't be renewed, the ones at hand may still do.
apt-get update 9>&- || true
# A service that starts all the same must not hold our lock.
apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=600 "$@" 9>&-

# A service that came with a package of ours stays off after the next boot too.
if command -v systemctl >/dev/null; then
  for service in nginx redis-server valkey-server postgresql; do
    if [[ " $* " == *" $service "* && $present_before != *"installed $service"* ]]; then
      systemctl disable --quiet "$service" || true
    fi
  done
fi
