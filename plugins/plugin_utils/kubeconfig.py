# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Kubeconfigs: one cluster's with names of its own, and several in one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError


def kubeconfig_named(text: str, name: str) -> str:
    """The kubeconfig of one cluster, its cluster, user and context called after the cluster: so kubeconfigs of two can be merged.

    Raises AnsibleFilterError, which quotes nothing of what is secret, when it has not exactly one of each.
    """
    name = str(name)  # what comes from Ansible may be of a class that YAML does not know
    known = _parsed(text)
    parts = {kind: known.get(kind) for kind in ("clusters", "users")}
    if any(not isinstance(part, list) or len(part) != 1 for part in parts.values()):
        raise AnsibleFilterError(f"the kubeconfig of {name} has not one cluster and one user; give what kubeadm wrote")
    return _text(
        clusters=[{"name": name, "cluster": known["clusters"][0]["cluster"]}],
        users=[{"name": name, "user": known["users"][0]["user"]}],
        contexts=[{"name": name, "context": {"cluster": name, "user": name}}],
        current=name,
    )


def kubeconfigs_merged(texts: Iterable[str]) -> str:
    """One kubeconfig with the clusters, users and contexts of all. The first context is the current one."""
    merged: dict[str, list[Any]] = {"clusters": [], "users": [], "contexts": []}
    for text in texts:
        known = _parsed(text)
        for kind, entries in merged.items():
            entries.extend(known.get(kind) or [])
    first = merged["contexts"][0]["name"] if merged["contexts"] else ""
    return _text(**merged, current=first)


def _parsed(text: str) -> dict[str, Any]:
    try:
        known = yaml.safe_load(text)
    except yaml.YAMLError:
        known = None
    if not isinstance(known, dict) or known.get("kind") != "Config":
        # Without the parser's own words: they would quote the text.
        raise AnsibleFilterError("this is not a kubeconfig; give a file of kind Config")
    return known


def _text(*, clusters: list[Any], users: list[Any], contexts: list[Any], current: str) -> str:
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "users": users,
        "contexts": contexts,
        "current-context": current,
    }
    return str(yaml.safe_dump(whole, sort_keys=False))
