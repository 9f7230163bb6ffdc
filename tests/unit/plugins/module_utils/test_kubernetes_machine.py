"""Why a machine will not do as a node: each reason with its remedy, and none for a machine that will do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import kubernetes_machine
from ansible_collections.closedloop.mobility.plugins.module_utils.kubernetes_machine import Machine

ADDRESSES = ["2001:db8::11", "192.0.2.11"]
GOOD = Machine(
    name="east-1",
    root=True,
    systemd=True,
    release="6.1.0",
    swap=(),
    cgroup_version=2,
    controllers=("cpuset", "cpu", "io", "memory", "pids"),
    overlay=True,
    bridge_netfilter=True,
    settings=False,
    settable=True,
    inotify_instances=1024,
    inotify_watches=100000,
    memory_mib=4096,
    processors=2,
    links={"2001:db8::11": 1500, "192.0.2.11": 1450, "::1": 65536},
    listening=(22,),
    missing_programs=(),
    networks=(),
    may_raise_limits=True,
    open_files=1048576,
    containerd=False,
    joined=False,
)


def problems(machine: Machine) -> list[str]:
    return list(kubernetes_machine.problems(machine, ADDRESSES, [6443, 10250], 1700, 2))


def test_a_good_machine_has_no_problems() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root": False}, "this is not root; give become: true"),
        ({"systemd": False}, "systemd is not its first process"),
        ({"name": "East_1"}, "its name 'East_1' cannot be a node's"),
        ({"swap": ("/dev/sda2",)}, "it swaps to /dev/sda2; run swapoff --all"),
        ({"controllers": ("cpu", "memory")}, "have no cpuset, pids; start its kernel with"),
        ({"settable": False}, "settings of its kernel cannot be made"),
        ({"memory_mib": 900}, "it has 900 MiB of memory, and needs 1700"),
        ({"processors": 1}, "it has 1 processor, and needs 2"),
        ({"inotify_instances": 128}, "fs.inotify.max_user_instances is 128, and a node needs 512; set it"),
        ({"inotify_watches": 8192}, "fs.inotify.max_user_watches is 8192"),
        ({"links": {"2001:db8::11": 1500}}, "no link of it has the address 192.0.2.11; correct kubernetes_node_addresses"),
        ({"links": {"2001:db8::11": 1279, "192.0.2.11": 1500}}, "2001:db8::11 has an MTU of 1279, and IPv6 needs 1280; raise it"),
        ({"listening": (22, 6443)}, "port 6443 is taken; stop what listens there"),
        (
            {"networks": ("/etc/cni/net.d/87-podman.conflist",)},
            "pods would be put into the network of /etc/cni/net.d/87-podman.conflist; remove",
        ),
        ({"missing_programs": ("losetup",)}, "it has no losetup; install"),
    ],
)
def test_each_reason_is_told_with_its_remedy(change: dict[str, object], said: str) -> None:
    (problem,) = problems(replace(GOOD, **change))  # type: ignore[arg-type]
    assert said in problem


def test_all_reasons_are_told_at_once() -> None:
    assert len(problems(replace(GOOD, swap=("/swap",), memory_mib=1, listening=(10250,)))) == 3


def test_a_node_may_listen_on_its_ports() -> None:
    assert problems(replace(GOOD, joined=True, listening=(6443, 10250))) == []


def test_pods_get_the_least_mtu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_machine, "look", lambda: GOOD)
    params = {"addresses": ADDRESSES, "ports": [], "memory_mib": 1, "processors": 1}
    assert kubernetes_machine.run(params, check_mode=False).values["mtu"] == 1450


def test_this_machine_can_be_looked_at() -> None:
    machine = kubernetes_machine.look()
    assert machine.name
    assert machine.memory_mib > 100
    assert (22 in machine.listening) == any(
        line.split()[1].endswith(":0016") and line.split()[3] == "0A"
        for file in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(file).exists()
        for line in Path(file).read_text().splitlines()[1:]
    )
