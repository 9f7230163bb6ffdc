#!/usr/bin/env bash
# Writes go.mod and go.sum of what is built from Go modules: the exact versions, and the sums that everything fetched must have. Needs the network.
#   scripts/go_lock.sh roles/kubernetes/files/go/kubernetes k8s.io/kubernetes@v1.34.4 k8s.io/kubernetes/cmd/kubeadm ...
# The directory's own main.go, where it has one, is kept. Packages have the module's version; without any it is what main.go imports.
set -euo pipefail
export GOFLAGS=-mod=mod GOTOOLCHAIN=local GOWORK=off GOCACHE=${CLOSEDLOOP_CACHE:-/var/cache/closedloop}/go/build GOMODCACHE=${CLOSEDLOOP_CACHE:-/var/cache/closedloop}/go/mod

place=$1 module=${2%@*} version=${2#*@}
shift 2
mkdir -p "$place"
cd "$place"
rm -f go.mod go.sum
go mod init "closedloop.example/${place##*/}"
upstream=$(go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
sed -n 's/^go /-go=/p' "$upstream/go.mod" | xargs go mod edit
if [ "$module" = k8s.io/kubernetes ]; then
  # Its parts are replaced by directories that its archive does not have. They are published with the same minor and patch number.
  sed -n "s#^\t\(k8s.io/[^ ]*\) => ./staging/.*#-replace=\1=\1@v0.${version#v1.}#p" "$upstream/go.mod" | xargs go mod edit
fi
cp "$upstream/go.sum" go.sum 2>/dev/null && chmod u+w go.sum
go mod edit -require="$module@$version"
if [ $# -gt 0 ]; then
  go get "${@/%/@$version}"
else
  go mod tidy
fi
