# Sourced by the other scripts: where the checkout is, how to say what happens, how to become root.
# shellcheck shell=bash
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf 'ERROR: %s\n' "$*" >&2
  exit 1
}

# Runs a command as root: directly, or by sudo, which asks for a password only where somebody can type one.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif ! command -v sudo >/dev/null; then
    die "'$1' needs root and there is no sudo: run 'make' as root, or install sudo"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# retry <times> <command...>: package mirrors and indexes are networks, too.
retry() {
  local left=$1 pause=2
  shift
  until "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    say "'$1' failed, trying again in $pause s"
    sleep "$pause"
    pause=$((pause * 2))
  done
}

# python_between <first> <beyond>: path of a working interpreter with first <= 3.x < beyond. The distribution's own comes first, because it can
# be read by every user; names in PATH follow, and shims that do not run are passed over.
python_between() {
  local candidate
  for candidate in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    candidate=$(command -v "$candidate") || continue
    if "$candidate" -c "import sys; sys.exit(not (3, $1) <= sys.version_info[:2] < (3, $2))" 2>/dev/null; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}
