"""closedloop.mobility.netns against a kernel in memory."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces, netns
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

from .fake_kernel import FakeKernel, install

FORWARDING = "net.ipv6.conf.all.forwarding"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    return install(monkeypatch)


def _params(*names: str, state: str = "present", **sysctls: Any) -> dict[str, Any]:
    wanted = {key.replace("__", "."): value for key, value in sysctls.items()}
    return {"namespaces": [{"name": name, "sysctls": wanted} for name in names], "state": state, "grace_ms": 100}


def test_missing_namespaces_are_made_with_loopback_up_and_their_sysctls(kernel: FakeKernel) -> None:
    params = {"namespaces": [{"name": "r", "sysctls": {FORWARDING: True}}, {"name": "h", "sysctls": {}}], "state": "present"}
    outcome = netns.run(params, check_mode=False)
    assert outcome.changed
    assert kernel.namespaces["r"].sysctls == {FORWARDING: "1"}
    assert kernel.namespaces["r"].loopback
    assert kernel.namespaces["h"].loopback
    assert outcome.values == {"namespaces": ["h", "r"]}


def test_a_second_run_changes_nothing(kernel: FakeKernel) -> None:
    params = {"namespaces": [{"name": "r", "sysctls": {FORWARDING: "1"}}], "state": "present"}
    netns.run(params, check_mode=False)
    kernel.log.clear()
    outcome = netns.run(params, check_mode=False)
    assert not outcome.changed
    assert kernel.log == []


def test_check_mode_predicts_and_does_nothing(kernel: FakeKernel) -> None:
    outcome = netns.run(_params("r"), check_mode=True)
    assert outcome.changed
    assert outcome.result(diff=True)["diff"] == {"before": {}, "after": {"r": {"loopback": "up", "sysctls": {}}}}
    assert kernel.namespaces == {}


def test_only_a_differing_sysctl_is_written(kernel: FakeKernel) -> None:
    kernel.add("r").loopback = True
    kernel.namespaces["r"].sysctls = {FORWARDING: "0", "net.ipv6.conf.all.accept_dad": "0"}
    params = {"namespaces": [{"name": "r", "sysctls": {FORWARDING: 1, "net.ipv6.conf.all.accept_dad": 0}}], "state": "present"}
    outcome = netns.run(params, check_mode=False)
    assert kernel.log == [f"r: {FORWARDING}=1"]
    assert outcome.result(diff=True)["diff"]["before"]["r"]["sysctls"][FORWARDING] == "0"


def test_absent_ends_the_processes_first(kernel: FakeKernel) -> None:
    inode = kernel.add("r").inode
    outcome = netns.run(_params("r", "never-was", state="absent"), check_mode=False)
    assert kernel.log == [f"end processes of {inode} within 0.1", "remove r"]
    assert outcome.changed
    assert not netns.run(_params("r", state="absent"), check_mode=False).changed


def test_absent_in_check_mode_keeps_it(kernel: FakeKernel) -> None:
    kernel.add("r")
    assert netns.run(_params("r", state="absent"), check_mode=True).changed
    assert "r" in kernel.namespaces


def test_the_tasks_own_namespace_is_never_removed(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    inode = kernel.add("host").inode
    monkeypatch.setattr(namespaces, "own_identity", lambda: inode)
    with pytest.raises(MobilityError, match="is the one this task runs in"):
        netns.run(_params("host", state="absent"), check_mode=False)


def test_a_namespace_named_twice_is_refused(kernel: FakeKernel) -> None:
    with pytest.raises(MobilityError, match="r is named more than once"):
        netns.run(_params("r", "r"), check_mode=False)
    assert kernel.log == []


@pytest.mark.parametrize("name", ["", "../etc", "a/b", "-x", "x" * 64, "a b", "ä"])
def test_a_name_that_could_leave_the_directory_is_refused(name: str) -> None:
    with pytest.raises(MobilityError, match="is not valid"):
        namespaces.path(name)


@pytest.mark.parametrize("key", ["kernel.hostname", "net", "net..x", "net.ipv6/../../etc", "net.a b"])
def test_a_sysctl_outside_the_namespace_is_refused_before_anything_is_made(kernel: FakeKernel, key: str) -> None:
    with pytest.raises(MobilityError, match=r"only names below 'net\.'"):
        netns.run({"namespaces": [{"name": "r", "sysctls": {key: 1}}], "state": "present"}, check_mode=False)
    assert kernel.log == []


@pytest.mark.parametrize(
    ("key", "file"),
    [
        (FORWARDING, "/proc/sys/net/ipv6/conf/all/forwarding"),
        ("net.ipv6.conf.eth0/5.accept_ra", "/proc/sys/net/ipv6/conf/eth0.5/accept_ra"),
    ],
)
def test_dots_become_directories_and_slashes_dots(key: str, file: str) -> None:
    assert str(namespaces.sysctl_path(key)) == file
