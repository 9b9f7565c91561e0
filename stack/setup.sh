#!/bin/bash
# Installs what Pushgate needs on Debian 12 or 13; a second call finds all done in a moment.
#
#   stack/setup.sh run     what `make run` needs
#   stack/setup.sh test    what `make test` needs in addition
#   stack/setup.sh bench   what `make bench` needs in addition to run
#
# Writes .venv/ (Python packages) and on Debian 12 .platform/debian-13/ (nginx, its modules and
# Redis) and for tests .platform/debian-13-tests/ (Valkey), all below the checkout, and installs
# missing Debian packages as root or with sudo.
# A step broken off leaves nothing that looks complete. The tools' own words go to
# STATE_DIR/logs/setup.log; a failure is one sentence and exit status 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LEVEL=${1:?run, test or bench}
readonly STATE_DIR=${STATE_DIR:-.run}
readonly LOG=$STATE_DIR/logs/setup.log
# Where the system says what it is; the tests say something else.
readonly OS_RELEASE=${OS_RELEASE:-/etc/os-release}

# What Debian 13 packages and the gateway and the queue run on.
readonly GATEWAY_PACKAGES=(
  nginx libnginx-mod-http-ndk libnginx-mod-http-lua libnginx-mod-http-push-stream
  lua-nginx-redis lua-cjson lua-resty-core redis-server ca-certificates
)
# What the tests run beside it, of Debian 13 too.
readonly TEST_SERVER_PACKAGES=(valkey-server)
readonly TEST_PACKAGES=(chromium postgresql lua-check luajit lua-busted lua-cjson)
# Compiles the bare loop that the gateway is measured beside; the tests try the benchmarks too.
readonly BENCH_PACKAGES=(gcc libc6-dev)

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup failed: %s\n' "$*" >&2
  exit 1
}

# The last line the tools wrote, to end a sentence with.
last_words() { grep -v '^[[:space:]]*$' "$LOG" | tail -n 1; }

# Runs a tool that may be broken off, and ends it when we are told to stop.
quietly() {
  "$@" </dev/null >>"$LOG" 2>&1 8>&- &
  TOOL=$!
  wait "$TOOL"
}

stop() {
  [[ -z ${TOOL:-} ]] || { kill "$TOOL" && wait "$TOOL"; } 2>/dev/null || true
  fail "told to stop"
}

read_system() {
  local id="" version="" codename=""
  if [[ -r $OS_RELEASE ]]; then
    id=$(. "$OS_RELEASE" && echo "${ID:-}")
    version=$(. "$OS_RELEASE" && echo "${VERSION_ID:-}")
    codename=$(. "$OS_RELEASE" && echo "${VERSION_CODENAME:-}")
  fi
  if [[ $id != debian || ($version != 12 && $version != 13) ]]; then
    fail "this is ${id:-an unknown system} ${version}, and Pushgate installs itself on Debian 12" \
      "and 13 only; elsewhere run the parts in containers, see docker/"
  fi
  RELEASE=$version
  CODENAME=$codename
  case $(uname -m) in
    x86_64) LIBRARIES=x86_64-linux-gnu LOADER=ld-linux-x86-64.so.2 ;;
    aarch64) LIBRARIES=aarch64-linux-gnu LOADER=ld-linux-aarch64.so.1 ;;
    *) fail "machine type $(uname -m) is not known, only x86_64 and aarch64; use docker/" ;;
  esac
}

# Sets PYTHON to one that is new enough and can make an environment, or to "".
find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      PYTHON=$candidate
      return
    fi
  done
  PYTHON=""
}

missing_packages() {
  local wanted=(gettext-base) present package
  [[ -n $PYTHON || -x .venv/bin/python ]] || wanted+=(python3 python3-venv)
  if [[ $RELEASE == 13 ]]; then
    wanted+=("${GATEWAY_PACKAGES[@]}")
    [[ $LEVEL == test ]] && wanted+=("${TEST_SERVER_PACKAGES[@]}")
  elif ! platform_is_current; then
    wanted+=(mmdebstrap ca-certificates)
  fi
  [[ $LEVEL == test ]] && wanted+=("${TEST_PACKAGES[@]}")
  [[ $LEVEL == run ]] || wanted+=("${BENCH_PACKAGES[@]}")
  present=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${wanted[@]}" \
    2>/dev/null || true)
  for package in "${wanted[@]}"; do
    grep -qx "installed $package" <<<"$present" || echo "$package"
  done
}

install_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages | sort -u)
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    as_root=(sudo)
    # Without a terminal sudo could only hang at its question.
    if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; }; }
    then
      fail "${missing[*]} must be installed and you are neither root nor allowed to use sudo;" \
        "ask for: apt-get install --no-install-recommends ${missing[*]}"
    fi
  fi
  say "installing ${missing[*]} with apt-get"
  "${as_root[@]}" bash stack/install_packages.sh "${missing[@]}" </dev/null >>"$LOG" 2>&1 8>&- ||
    fail "apt-get could not install ${missing[*]} (is there a network?); put right what $LOG says" \
      "and start again; it ends: $(last_words)"
}

platform_is_current() {
  root_is_current debian-13 "${GATEWAY_PACKAGES[@]}" && test_platform_is_current
}

test_platform_is_current() {
  [[ $LEVEL != test ]] || root_is_current debian-13-tests "${TEST_SERVER_PACKAGES[@]}"
}

root_is_current() {
  [[ "$(cat ".platform/$1/.packages" 2>/dev/null)" == "${*:2}" ]]
}

unpack_platform() {
  root_is_current debian-13 "${GATEWAY_PACKAGES[@]}" ||
    unpack_root debian-13 "nginx and redis" 180 usr/sbin/nginx "${GATEWAY_PACKAGES[@]}"
  test_platform_is_current ||
    unpack_root debian-13-tests valkey 55 usr/bin/valkey-server "${TEST_SERVER_PACKAGES[@]}"
}

# Unpacks packages of Debian 13 into a root below .platform/, from the mirror that this host's apt
# uses: its name, what is in it for people, how many MB, a program to try, the packages.
unpack_root() {
  local root=.platform/$1 what=$2 size=$3 program=$4 wanted=("${@:5}")
  local unpacking mirror security packages
  local sources=() options=()
  packages=$(IFS=, && echo "${wanted[*]}")
  mirror=$(mirror_of "$CODENAME")
  [[ -n $mirror ]] ||
    fail "apt on this machine names no Debian mirror for $CODENAME; add one to" \
      "/etc/apt/sources.list.d and run: apt-get update"
  sources+=("deb $mirror trixie main")
  security=$(mirror_of "$CODENAME-security")
  [[ -z $security ]] || sources+=("deb $security trixie-security main")
  # The host's proxy and certificates, if apt has any, are needed here just as well.
  mapfile -t options < <(apt-config dump | sed -nE 's/^Acquire::https?::[^ ]+ ".+";$/--aptopt=&/p')
  say "unpacking $what from Debian 13 below .platform ($size MB)"
  unpacking=$(mktemp --directory .platform/unpacking.XXXXXX)
  chmod 755 "$unpacking"
  # chrootless: nothing is run from the packages, only unpacked, so no rights are needed.
  quietly mmdebstrap --mode=chrootless --skip=check/empty --variant=extract --include="$packages" \
    --aptopt='APT::Install-Recommends "false"' "${options[@]}" \
    trixie "$unpacking" "${sources[@]}" ||
    fail "mmdebstrap could not fetch Debian 13's packages (is there a network?); put right what" \
      "$LOG says and start again; it ends: $(last_words)"
  local libraries="$unpacking/usr/lib/$LIBRARIES"
  "$libraries/$LOADER" --library-path "$libraries" "$unpacking/$program" -v >>"$LOG" 2>&1 ||
    fail "${program##*/} of Debian 13 does not start here; see $LOG; run the parts in containers," \
      "see docker/"
  echo "${wanted[*]}" >"$unpacking/.packages"
  rm -rf "$root"
  mv "$unpacking" "$root"
}

mirror_of() {
  # shellcheck disable=SC2016  # these are apt's own placeholders
  apt-get indextargets --format '$(SITE) $(ORIGIN) $(RELEASE)' 'Created-By: Packages' |
    awk -v release="$1" '$2 == "Debian" && $3 == release { print $1; exit }'
}

install_python_packages() {
  local wanted
  wanted=$(sha256sum <requirements.lock)
  if [[ "$(cat .venv/installed.lock 2>/dev/null)" == "$wanted" ]] && .venv/bin/python -c ''; then
    return 0
  fi
  say "installing the Python packages of requirements.lock into .venv"
  # A whole .venv is kept and brought up to date; one whose Python has gone is made anew.
  if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    [[ -n $PYTHON ]] || find_python
    [[ -n $PYTHON ]] || fail "no Python from 3.11 on with venv was found; install python3-venv"
    quietly "$PYTHON" -m venv --clear .venv ||
      fail "$PYTHON could not make .venv; see $LOG; it ends: $(last_words)"
  fi
  rm -f .venv/installed.lock
  quietly .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check --retries 2 \
    --require-hashes --requirement requirements.lock ||
    fail "pip could not install requirements.lock (is there a network?); put right what $LOG says" \
      "and start again; it ends: $(last_words)"
  echo "$wanted" >.venv/installed.lock
}

[[ $LEVEL == run || $LEVEL == test || $LEVEL == bench ]] ||
  fail "level \"$LEVEL\" is not known, only run, test and bench"
if ! mkdir -p "$STATE_DIR/logs" .platform 2>/dev/null || ! : 2>/dev/null >>"$LOG"; then
  fail "cannot write to $STATE_DIR and .platform; set STATE_DIR to a folder of yours and run as" \
    "the owner of this checkout"
fi
read_system
# One at a time in this checkout; what an earlier one left half-unpacked goes.
exec 8>.platform/lock
flock --nonblock 8 || { say "waiting for another setup of this checkout"; flock 8; }
: >"$LOG"
trap 'rm -rf .platform/unpacking.*' EXIT
trap stop INT TERM HUP
rm -rf .platform/unpacking.*
find_python
install_packages
[[ $RELEASE == 13 ]] || platform_is_current || unpack_platform
install_python_packages
