#!/usr/bin/env bash
# Leaves nothing behind: labs are torn down by their playbook where that still works, then whatever is left of them is found by name and removed,
# then the checkout's caches, reports and environments, and what was built outside of it for all checkouts. A test that is running keeps its namespaces.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

STATE=/run/closedloop

# Labs of this machine, without those of a kill suite that is running (clf<process id>).
labs() {
  local lab
  [ -d "$STATE" ] || return 0
  find "$STATE" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | while read -r lab; do
    if [[ $lab =~ ^clf([0-9]+) ]] && [ -d "/proc/${BASH_REMATCH[1]}" ]; then say "lab $lab belongs to a running kill suite: left alone" >&2; else printf '%s\n' "$lab"; fi
  done
}

tear_down() {
  say "lab $1: teardown.yml"
  timeout 120 scripts/as_root.sh .venv/bin/ansible-playbook playbooks/teardown.yml -e "lab_name=$1" >/dev/null </dev/null ||
    say "lab $1: teardown.yml failed, what is left of it is removed by hand"
}

# Namespaces of a lab are <lab>-<host>; those of a test, bench or kill suite begin with clt, clb or clf and its process id, and are left over when that process is gone.
left_over_namespaces() {
  local name pid
  ip netns list 2>/dev/null | cut -d ' ' -f 1 | while read -r name; do
    if [[ $name =~ ^cl[tbf]([0-9]+)i?- ]]; then
      pid=${BASH_REMATCH[1]}
      if [ -d "/proc/$pid" ]; then say "namespace $name belongs to the running process $pid: left alone"; else printf '%s\n' "$name"; fi
    elif [ -n "${name%%-*}" ] && printf '%s\n' "$@" | grep -Fxq "${name%%-*}"; then
      printf '%s\n' "$name"
    fi
  done
}

remove_namespace() {
  local pids
  pids=$(as_root ip netns pids "$1" | tr '\n' ' ')
  if [ -n "$pids" ]; then
    # shellcheck disable=SC2086 # a list of numbers
    as_root kill -KILL $pids 2>/dev/null || true
  fi
  as_root ip netns delete "$1"
}

remove_mounts() {
  findmnt --raw --noheadings --output TARGET | awk -v state="$STATE/" 'index($0, state) == 1 && index($0, state "clf") != 1' | sort -r | while read -r mount; do as_root umount --lazy "$mount"; done
}

mapfile -t found < <(labs)
if [ -x .venv/bin/ansible-playbook ] && [ -f playbooks/teardown.yml ]; then
  for lab in "${found[@]}"; do tear_down "$lab"; done
fi
# `cl` is the name of the lab in inventories/lab: it may have lost its state directory.
left_over_namespaces cl "${found[@]}" | while read -r namespace; do
  say "namespace $namespace"
  remove_namespace "$namespace" </dev/null
done
remove_mounts
# Control groups of machines that a killed test has left; those of machines that run are not empty.
find /sys/fs/cgroup -depth -type d -path '*/closedloop-machine-*' 2>/dev/null | while read -r group; do as_root rmdir "$group" 2>/dev/null || true; done
for lab in "${found[@]}"; do as_root rm -rf "${STATE:?}/$lab"; done
[ ! -d "$STATE" ] || mountpoint --quiet "$STATE" || as_root rmdir --ignore-fail-on-non-empty "$STATE"

say 'caches, reports, environments'
as_root rm -rf "${CLOSEDLOOP_CACHE:-/var/cache/closedloop}"
rm -rf .venv .tools .cache .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis reports tests/output closedloop-mobility-*.tar.gz
find . -name .git -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -type d -prune -exec rm -rf {} +
