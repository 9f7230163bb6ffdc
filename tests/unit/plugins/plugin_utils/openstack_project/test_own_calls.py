"""What the SDK is asked itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project import own_calls


def cloud(*servers: tuple[str, str]) -> Any:
    rows = [SimpleNamespace(id=identity, name=identity, status=status, fault=None) for identity, status in servers]
    return SimpleNamespace(compute=SimpleNamespace(servers=lambda: rows))


def test_servers_that_are_active_are_not_waited_for() -> None:
    own_calls.wait_until_active(cloud(("a", "ACTIVE"), ("stranger", "BUILD")), servers=["a"], timeout_s=0)


@pytest.mark.parametrize("there", [[("a", "ACTIVE"), ("b", "BUILD")], [("a", "ACTIVE")]])
def test_one_that_is_being_built_or_has_gone_is_not_active(there: list[tuple[str, str]]) -> None:
    with pytest.raises(RuntimeError, match=r"not active after 0 s .*: b"):
        own_calls.wait_until_active(cloud(*there), servers=["a", "b"], timeout_s=0)


def test_one_that_nova_could_not_build_ends_the_waiting() -> None:
    with pytest.raises(RuntimeError, match="nova could not build a"):
        own_calls.wait_until_active(cloud(("a", "ERROR")), servers=["a"], timeout_s=60)
