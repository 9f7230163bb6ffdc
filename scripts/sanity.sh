#!/usr/bin/env bash
# ansible-test sanity and units on the artifact as a user installs it: built by ansible-galaxy, unpacked under ansible_collections.
# Usage: scripts/sanity.sh; junit files go to reports/test/.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bin=$ROOT/.venv/bin
version=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test keeps its environments and downloads below HOME; here that is a cache of the checkout.
export HOME=$ROOT/.cache/ansible-test PATH=$bin:$PATH ANSIBLE_NOCOLOR=1
unset ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH VIRTUAL_ENV

work=$(mktemp -d "${TMPDIR:-/tmp}/closedloop-sanity.XXXXXX")
trap 'rm -rf "$work"' EXIT
collection=$work/ansible_collections/closedloop/mobility
mkdir -p "$collection" "$HOME/.ansible/test/cache" reports/test
ansible-galaxy collection build --output-path "$work" "$ROOT" >/dev/null
tar -xzf "$work"/closedloop-mobility-*.tar.gz -C "$collection"

# ansible-test names the pip that it wants; this is our way of installing it.
pip=$(python -c 'from types import SimpleNamespace as Python; from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(Python(version="'"$version"'"))["pip"])')
cp scripts/get_pip.py "$HOME/.ansible/test/cache/get_pip_${pip//./_}.py"

cd "$collection"
status=0
ansible-test sanity --python "$version" --junit || status=$?
ansible-test units --python "$version" || status=$?
cp tests/output/junit/*.xml "$ROOT/reports/test/" 2>/dev/null || true
exit "$status"
