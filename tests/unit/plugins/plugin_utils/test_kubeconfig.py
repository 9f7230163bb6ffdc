"""Kubeconfigs with names of their own, merged, and never quoted."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.closedloop.mobility.plugins.plugin_utils.kubeconfig import kubeconfig_named, kubeconfigs_merged

SECRET = "c2VjcmV0"
WRITTEN = f"""
apiVersion: v1
kind: Config
clusters: [{{name: kubernetes, cluster: {{server: "https://[2001:db8::11]:6443"}}}}]
users: [{{name: kubernetes-admin, user: {{client-key-data: {SECRET}}}}}]
contexts: [{{name: kubernetes-admin@kubernetes, context: {{cluster: kubernetes, user: kubernetes-admin}}}}]
current-context: kubernetes-admin@kubernetes
"""


def test_cluster_user_and_context_are_called_after_the_cluster() -> None:
    known = yaml.safe_load(kubeconfig_named(WRITTEN, "east"))
    assert [known[kind][0]["name"] for kind in ("clusters", "users", "contexts")] == ["east"] * 3
    assert known["contexts"][0]["context"] == {"cluster": "east", "user": "east"}
    assert known["current-context"] == "east"
    assert known["users"][0]["user"] == {"client-key-data": SECRET}


def test_two_clusters_are_in_one_and_a_second_merge_is_the_same() -> None:
    both = [kubeconfig_named(WRITTEN, name) for name in ("east", "west")]
    known = yaml.safe_load(kubeconfigs_merged(both))
    assert [context["name"] for context in known["contexts"]] == ["east", "west"]
    assert known["current-context"] == "east"
    assert kubeconfigs_merged(both) == kubeconfigs_merged(both)


@pytest.mark.parametrize(
    "text", [f"kind: Secret\ndata: {SECRET}", f"[{SECRET}", f"kind: Config\nusers: [{SECRET}, {SECRET}]\nclusters: []"]
)
def test_what_is_wrong_is_told_without_a_word_of_it(text: str) -> None:
    with pytest.raises(AnsibleFilterError) as told:
        kubeconfig_named(text, "east")
    assert "kubeconfig" in str(told.value)
    assert SECRET not in str(told.value)
