#!/usr/bin/env bash
# Runs a command as root in network, mount and process namespaces of its own: loopback, no names of network namespaces, no labs, no processes but its own.
# What it leaves running ends with it. Two of these do not meet, so tests can run beside each other.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# shellcheck disable=SC2016 # for the shell inside
exec scripts/as_root.sh unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private bash -c '
  set -e
  ip link set lo up
  mkdir -p /run/netns /run/closedloop
  mount -t tmpfs tmpfs /run/netns
  mount -t tmpfs tmpfs /run/closedloop
  # This shell stays, as the process that takes in orphans: when one ends, whoever waits for that sees it gone.
  "$@"
  exit' bash "$@"
