#!/usr/bin/env bash
# Everything that the checkout needs and the machine lacks: system packages, uv, .venv with Ansible and its collections. A second run
# compares one hash and is done.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

STAMP=.venv/setup.sha256
INPUTS=(scripts/setup.sh scripts/lib.sh scripts/system-packages.txt scripts/uv.txt uv.lock pyproject.toml loop/pyproject.toml nf/pyproject.toml tools/pyproject.toml)

# The checkout's path is part of it, because a virtual environment does not survive a move.
wanted() { { printf '%s\n' "$ROOT" && cat "${INPUTS[@]}"; } | sha256sum | cut -d ' ' -f 1; }

timed() {
  local title=$1 begun=$SECONDS
  shift
  say "$title ..."
  "$@"
  say "$title: done in $((SECONDS - begun)) s"
}

missing_packages() {
  grep -v '^#' scripts/system-packages.txt | while read -r package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

apt_install() {
  local lock_wait='-oDPkg::Lock::Timeout=180'
  as_root apt-get -qq "$lock_wait" update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y "$lock_wait" --no-install-recommends install "$@" >.cache/apt.log 2>&1 ||
    { tail -n 15 .cache/apt.log >&2; return 1; }
}

system_packages() {
  if ! command -v apt-get >/dev/null; then
    say 'no apt on this machine: install what scripts/system-packages.txt lists by hand; going on without'
    return
  fi
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] || timed "system packages: ${missing[*]}" retry 3 apt_install "${missing[@]}"
}

install_uv() {
  local python
  python=$(python_between 11 99) || die "no Python 3.11 or newer in PATH: install one (Debian 12, Ubuntu 24.04 and later have it)"
  rm -rf .tools
  "$python" -m venv .tools
  retry 3 .tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r scripts/uv.txt
}

# The environment keeps its interpreter while that works; ansible-core 2.19 runs on 3.11 to 3.13. A machine that has none of these gets one from uv.
project_python() {
  if .venv/bin/python -c '' 2>/dev/null; then
    printf '.venv/bin/python\n'
  else
    python_between 11 14 || printf '3.13\n'
  fi
}

sync_environment() {
  # The machine's own certificate store, so that an index behind an organisation's gateway works as it does for pip.
  UV_CACHE_DIR=.cache/uv UV_SYSTEM_CERTS=true retry 3 .tools/bin/uv sync --quiet --locked --python "$(project_python)"
}

mkdir -p .cache
exec 9>.cache/setup.lock
flock 9
if [ "$(cat "$STAMP" 2>/dev/null)" = "$(wanted)" ] && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi
begun=$SECONDS
system_packages
.tools/bin/uv --version 2>/dev/null | grep -q "$(sed -n 's/^uv==\([^ ]*\).*/ \1 /p' scripts/uv.txt)" || timed 'uv, in .tools' install_uv
timed 'Python environment with Ansible and its collections, in .venv' sync_environment
wanted >"$STAMP"
say "set up in $((SECONDS - begun)) s"
