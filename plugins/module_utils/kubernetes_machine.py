# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a machine will do as a node of Kubernetes: what the module closedloop.mobility.kubernetes_machine_info does.

`look` reads what a machine is; `problems` says why that will not do, each with its remedy, and reads nothing.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "addresses": {"type": "list", "elements": "str", "required": True},
    "ports": {"type": "list", "elements": "int", "default": []},
    "memory_mib": {"type": "int", "default": 1700},
    "processors": {"type": "int", "default": 1},
}

CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
PROGRAMS = ("ip", "losetup", "mount", "nsenter")
WATCHERS = 512
"""Inotify instances that a node with a few dozen pods takes."""
WATCHES = 65536
MTU = 1280
"""The least that IPv6 asks of a link (RFC 8200 section 5)."""
RAISE_LIMITS = 24
"""CAP_SYS_RESOURCE."""
LISTENING = "0A"
NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
SETTINGS = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1", "net/bridge/bridge-nf-call-ip6tables": "1"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine is, as far as a node of Kubernetes cares."""

    name: str
    root: bool
    systemd: bool
    release: str
    swap: tuple[str, ...]
    cgroup_version: int
    controllers: tuple[str, ...]
    overlay: bool
    bridge_netfilter: bool
    settings: bool
    """Whether the settings of `SETTINGS` are made."""
    settable: bool
    """Whether settings of the kernel can be made here."""
    inotify_instances: int
    inotify_watches: int
    memory_mib: int
    processors: int
    links: dict[str, int]
    """The MTU of the link that has each address."""
    listening: tuple[int, ...]
    missing_programs: tuple[str, ...]
    networks: tuple[str, ...]
    """Configurations of networks that pods would be put into."""
    may_raise_limits: bool
    open_files: int
    containerd: bool
    """Whether containerd runs."""
    joined: bool
    """Whether it is a node of some cluster."""


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """What the machine is, and what is wrong with it. Changes nothing, in check mode or not."""
    machine = look()
    wanted = (params["addresses"], params["ports"], params["memory_mib"], params["processors"])
    values = asdict(machine) | {"problems": list(problems(machine, *wanted)), "mtu": _mtu(machine, params["addresses"])}
    return Outcome(values=values)


def problems(machine: Machine, addresses: list[str], ports: list[int], memory_mib: int, processors: int) -> Iterator[str]:
    """Each reason why the machine will not do as a node with these addresses, with what to do about it."""
    if not machine.root:
        yield "this is not root; give become: true"
    if not machine.systemd:
        yield "systemd is not its first process; use a machine whose services are run by systemd"
    if not NODE_NAME.fullmatch(machine.name):
        yield f"its name {machine.name!r} cannot be a node's; use small letters, digits, '-' and '.' (hostnamectl hostname)"
    if machine.swap:
        yield f"it swaps to {', '.join(machine.swap)}; run swapoff --all and take the lines out of /etc/fstab"
    lacking = [name for name in CONTROLLERS if name not in machine.controllers]
    if lacking:
        yield (
            f"its control groups (version {machine.cgroup_version}) have no {', '.join(lacking)}; start its kernel with "
            "systemd.unified_cgroup_hierarchy=1 and without cgroup_disable"
        )
    if not machine.settable and not machine.settings:
        yield "settings of its kernel cannot be made (/proc/sys is read-only), and it does not forward; make them where it can be done"
    yield from _sizes(machine, memory_mib, processors)
    yield from _links(machine, addresses)
    if not machine.joined and machine.networks:
        yield f"pods would be put into the network of {', '.join(machine.networks)}; remove it, or move it elsewhere"
    if not machine.joined:
        for port in sorted(set(ports) & set(machine.listening)):
            yield f"port {port} is taken; stop what listens there (ss --listening --tcp --processes 'sport = {port}')"
    if machine.missing_programs:
        yield f"it has no {', '.join(machine.missing_programs)}; install iproute2, mount and util-linux"


def _sizes(machine: Machine, memory_mib: int, processors: int) -> Iterator[str]:
    if machine.memory_mib < memory_mib:
        yield f"it has {machine.memory_mib} MiB of memory, and needs {memory_mib}; give it more"
    if machine.processors < processors:
        yield f"it has {machine.processors} processor, and needs {processors}; give it more"
    for name, found, least in (
        ("instances", machine.inotify_instances, WATCHERS),
        ("watches", machine.inotify_watches, WATCHES),
    ):
        if found < least:
            yield f"fs.inotify.max_user_{name} is {found}, and a node needs {least}; set it in /etc/sysctl.d and by sysctl --system"


def _links(machine: Machine, addresses: list[str]) -> Iterator[str]:
    for address in addresses:
        mtu = machine.links.get(str(ipaddress.ip_address(address)))
        if mtu is None:
            yield f"no link of it has the address {address}; correct kubernetes_node_addresses, or give it the address"
        elif mtu < MTU:
            yield f"the link with the address {address} has an MTU of {mtu}, and IPv6 needs {MTU}; raise it"


def _mtu(machine: Machine, addresses: list[str]) -> int:
    """The least MTU of the links with these addresses: pods' packets pass by them. 0 when there is none."""
    return min((machine.links.get(str(ipaddress.ip_address(address)), 0) for address in addresses), default=0)


def look() -> Machine:
    """Read what this machine is."""
    version, controllers = _control_groups()
    inotify = Path("/proc/sys/fs/inotify")
    return Machine(
        name=os.uname().nodename,
        root=os.geteuid() == 0,
        systemd=Path("/run/systemd/system").is_dir(),
        release=os.uname().release,
        swap=tuple(line.split()[0] for line in _lines("/proc/swaps")[1:]),
        cgroup_version=version,
        controllers=controllers,
        overlay=any(line.split()[-1] == "overlay" for line in _lines("/proc/filesystems")),
        bridge_netfilter=Path("/proc/sys/net/bridge").is_dir(),
        settings=all(_lines(f"/proc/sys/{name}") == [value] for name, value in SETTINGS.items()),
        settable=os.access("/proc/sys/net/ipv6/conf/all/forwarding", os.W_OK),
        inotify_instances=int(_lines(str(inotify / "max_user_instances"))[0]),
        inotify_watches=int(_lines(str(inotify / "max_user_watches"))[0]),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        processors=len(os.sched_getaffinity(0)),
        links=_addresses(),
        listening=tuple(sorted(_listening())),
        networks=tuple(sorted(str(file) for file in Path("/etc/cni/net.d").glob("*.conf*"))),
        missing_programs=tuple(name for name in PROGRAMS if shutil.which(name) is None),
        may_raise_limits=bool(_capabilities() >> RAISE_LIMITS & 1),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        containerd=Path("/run/containerd/containerd.sock").exists(),
        joined=Path("/etc/kubernetes/kubelet.conf").exists(),
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _control_groups() -> tuple[int, tuple[str, ...]]:
    """Version 2 where the one hierarchy is there, else version 1 with the controllers that are mounted."""
    unified = _lines("/sys/fs/cgroup/cgroup.controllers")
    if unified:
        return 2, tuple(unified[0].split())
    enabled = [line.split() for line in _lines("/proc/cgroups")[1:]]
    return 1, tuple(name for name, _hierarchy, _groups, on in enabled if on == "1" and Path("/sys/fs/cgroup", name).is_dir())


def _addresses() -> dict[str, int]:
    """The MTU of the link that has each address; nothing where there is no iproute2."""
    if shutil.which("ip") is None:
        return {}
    said = subprocess.run(["ip", "-json", "address", "show"], capture_output=True, text=True, check=True).stdout
    return {address["local"]: link["mtu"] for link in json.loads(said) for address in link["addr_info"] if "local" in address}


def _capabilities() -> int:
    return next(int(line.split()[1], 16) for line in _lines("/proc/self/status") if line.startswith("CapEff:"))


def _listening() -> Iterator[int]:
    """Ports of TCP sockets that listen, from /proc/net/tcp and tcp6."""
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _lines(file)[1:]:
            _slot, local, _remote, state, *_rest = line.split()
            if state == LISTENING:
                yield int(local.rpartition(":")[2], 16)
