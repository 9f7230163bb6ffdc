#!/usr/bin/env bash
# Runs a command as root (namespaces need it) with the environment of the caller; what it writes in the checkout stays the caller's.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" -ne 0 ] || exec "$@"
status=0
as_root --preserve-env env PATH="$PATH" "$@" || status=$?
as_root chown -R "$(id -u):$(id -g)" "$ROOT"
exit "$status"
