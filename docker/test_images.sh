#!/bin/bash
# Builds the images and tries them as compose.yaml puts them together; `make test-images`.
#
# Needs no container engine: buildah builds, and starts the containers' processes in a network of
# their own, which nothing outside it sees or reaches. Debian's base image is made from the mirror
# of this host. All of it lies in one temporary folder, removed at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PACKAGES=(buildah mmdebstrap iproute2 util-linux postgresql)
readonly TARGETS=(redis gateway formatter relay site)
# No step has needed half of it; one that hangs ends.
readonly STEP_SECONDS=900
# What runs in the background now.
CHILD=""

say() { printf 'test-images: %s\n' "$*"; }

fail() {
  printf 'test-images failed: %s\n' "$*" >&2
  exit 1
}

# Runs a command for so long at the most; in the background, for only so do traps work at once.
bounded() {
  timeout --kill-after=15 "$STEP_SECONDS" "$@" </dev/null &
  CHILD=$!
  wait "$CHILD"
}

# Runs a step with its output in the log; names the step and shows the log's end when it fails.
step() {
  local what=$1
  shift
  say "$what"
  bounded "$@" >>"$LOG" 2>&1 || {
    tail -n 25 "$LOG" >&2
    fail "$what"
  }
}

# Whatever runs then ends, and all that was made goes.
clean_up() {
  [[ -z $CHILD ]] || ! kill "$CHILD" 2>/dev/null || wait "$CHILD" || true
  # A container's process may still be ending.
  rm -rf "$WORK" 2>/dev/null || { sleep 2; rm -rf "$WORK"; }
}

# With mounts of our own, which end with us.
if [[ ${1:-} != --own-mounts ]]; then
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "building images needs root; run as root or install sudo"
    as_root=(sudo --preserve-env)
  fi
  exec "${as_root[@]}" unshare --mount -- bash docker/test_images.sh --own-mounts
fi
[[ -x .venv/bin/python ]] || fail "the Python environment is missing; run: make setup"

WORK=$(mktemp --directory "${TMPDIR:-/tmp}/pushgate-images.XXXXXX")
readonly WORK LOG=$WORK/log
# Others must reach the programs of the containers, not what is lent to their builds.
chmod 711 "$WORK"
install --directory --mode=700 "$WORK/lent" "$WORK/tmp"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
export TMPDIR=$WORK/tmp

# The kernel's overlay is three times as fast as copies, but cannot lie upon another overlay.
storage_driver() {
  mkdir "$WORK/overlay" "$WORK/overlay"/{lower,upper,work,merged}
  if mount -t overlay -o "lowerdir=$WORK/overlay/lower,upperdir=$WORK/overlay/upper" \
    -o "workdir=$WORK/overlay/work" overlay "$WORK/overlay/merged" 2>/dev/null; then
    umount "$WORK/overlay/merged"
    echo overlay
  else
    echo vfs
  fi
}

# A store of our own: nobody else's images are seen or touched.
BUILDAH=(buildah --root "$WORK/store" --runroot "$WORK/run" --storage-driver "$(storage_driver)")
readonly BUILDAH
printf '%s\n' "${BUILDAH[@]}" >"$WORK/buildah"

install_tools() {
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  ((${#missing[@]} == 0)) ||
    step "installing ${missing[*]} with apt-get" bash stack/install_packages.sh "${missing[@]}"
}

mirror_of() {
  # shellcheck disable=SC2016  # these are apt's own placeholders
  apt-get indextargets --format '$(SITE) $(ORIGIN) $(RELEASE)' 'Created-By: Packages' |
    awk -v release="$1" '$2 == "Debian" && $3 == release { print $1; exit }'
}

# What docker.io/library/debian:trixie-slim is elsewhere.
make_base() {
  local codename mirror security sources=() options=() container
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(mirror_of "$codename")
  [[ -n $mirror ]] || fail "apt on this machine names no Debian mirror for $codename"
  sources+=("deb $mirror trixie main")
  security=$(mirror_of "$codename-security")
  [[ -z $security ]] || sources+=("deb $security trixie-security main")
  mapfile -t options < <(apt-config dump | sed -nE 's/^Acquire::https?::[^ ]+ ".+";$/--aptopt=&/p')
  step "making Debian 13's base image from this host's mirror" \
    mmdebstrap --variant=minbase --include=ca-certificates "${options[@]}" \
    trixie "$WORK/base.tar" "${sources[@]}"
  container=$("${BUILDAH[@]}" from scratch)
  step "importing it" "${BUILDAH[@]}" add "$container" "$WORK/base.tar" /
  "${BUILDAH[@]}" config --cmd bash "$container"
  "${BUILDAH[@]}" commit --quiet --rm "$container" docker.io/library/debian:trixie-slim >>"$LOG"
  rm "$WORK/base.tar"
}

# How this host's pip reaches its index, for the build alone.
lend_pip_configuration() {
  local name variable value certificates
  certificates=${PIP_CERT:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}
  install --mode=600 "$certificates" "$WORK/lent/certificates"
  {
    printf '[global]\ncert = /run/secrets/certificates\n'
    for name in index-url extra-index-url proxy trusted-host timeout; do
      variable=PIP_$(tr 'a-z-' 'A-Z_' <<<"$name")
      value=${!variable:-$(.venv/bin/python -m pip config get "global.$name" 2>/dev/null || true)}
      # Folders of this host are not seen in there.
      value=$(tr -s '[:space:]' '\n' <<<"$value" | sed '/^file:/d; /^$/d' | paste -sd ' ')
      [[ -z $value ]] || printf '%s = %s\n' "$name" "$value"
    done
  } >"$WORK/lent/pip.conf"
}

build_images() {
  local target
  for target in "${TARGETS[@]}"; do
    step "building the image $target" "${BUILDAH[@]}" build --isolation chroot --pull-never \
      --layers --secret "id=pip.conf,src=$WORK/lent/pip.conf" \
      --secret "id=certificates,src=$WORK/lent/certificates" \
      --file docker/Dockerfile --target "$target" --tag "localhost/pushgate-$target:local" .
  done
}

# compose.yaml with every default filled in, as Debian 13's docker-compose understands it.
read_compose_file() {
  local container
  container=$("${BUILDAH[@]}" from --pull-never docker.io/library/debian:trixie-slim)
  step "installing docker-compose in a container" "${BUILDAH[@]}" run --isolation chroot \
    "$container" -- sh -c \
    'apt-get update -qq && apt-get install -qq --yes --no-install-recommends docker-compose'
  say "asking docker-compose what it makes of docker/compose.yaml"
  bounded "${BUILDAH[@]}" run --isolation chroot --volume "$PWD/docker:/mnt/docker:ro" \
    "$container" -- docker-compose --env-file /dev/null --file /mnt/docker/compose.yaml \
    config --format json >"$WORK/compose.json" 2>>"$LOG" || {
    tail -n 5 "$LOG" >&2
    fail "docker-compose refuses docker/compose.yaml"
  }
  "${BUILDAH[@]}" rm "$container" >>"$LOG"
}

try_images() {
  say "starting the containers"
  # Network and processes are of a namespace that ends with the tests, however those end. The
  # tests' own files belong to root: keep them out of the checkout.
  STATE_DIR=$WORK/state PYTHONDONTWRITEBYTECODE=1 PUSHGATE_IMAGES=$WORK \
    bounded unshare --net --pid --fork --kill-child --mount-proc -- \
    sh -c 'ip link set lo up && exec "$@"' sh \
    .venv/bin/python -m pytest -p no:cacheprovider --basetemp "$WORK/pytest" tests/images
}

install_tools
make_base
lend_pip_configuration
read_compose_file
build_images
try_images
