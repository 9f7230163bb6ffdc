"""Namespaces and links in memory, in the place of the modules `namespaces` and `rtnetlink`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import links, namespaces, netns, rtnetlink
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


@dataclass
class FakeNamespace:
    inode: int
    sysctls: dict[str, str] = field(default_factory=dict)
    links: dict[str, rtnetlink.Link] = field(default_factory=dict)
    addresses: dict[int, set[str]] = field(default_factory=dict)
    routes: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    rates: dict[int, int] = field(default_factory=dict)
    loopback: bool = False


class FakeKernel:
    """What the kernel holds, and in `log` every change made to it."""

    def __init__(self) -> None:
        self.namespaces: dict[str, FakeNamespace] = {}
        self.current = ""
        self.log: list[str] = []
        self.next_index = 1

    def add(self, name: str) -> FakeNamespace:
        self.namespaces[name] = FakeNamespace(inode=1000 + len(self.namespaces))
        return self.namespaces[name]

    @property
    def here(self) -> FakeNamespace:
        return self.namespaces[self.current]

    # --- module namespaces ---

    def exists(self, name: str) -> bool:
        return name in self.namespaces

    def create(self, name: str) -> None:
        self.log.append(f"create {name}")
        self.add(name)

    def remove(self, name: str) -> None:
        self.log.append(f"remove {name}")
        del self.namespaces[name]

    def identity(self, name: str) -> int:
        if name not in self.namespaces:
            raise MobilityError(f"there is no network namespace {name!r}: make it first")
        return self.namespaces[name].inode

    def end_processes(self, inode: int, grace_s: float) -> list[int]:
        self.log.append(f"end processes of {inode} within {grace_s}")
        return []

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        before, self.current = self.current, name
        try:
            yield
        finally:
            self.current = before

    def read_sysctl(self, key: str) -> str | None:
        return self.here.sysctls.get(key)

    def write_sysctl(self, key: str, value: str) -> None:
        self.log.append(f"{self.current}: {key}={value}")
        self.here.sysctls[key] = value

    # --- module rtnetlink ---

    @contextmanager
    def opened(self, name: str) -> Iterator[FakeNetlink]:
        with self.entered(name):
            yield FakeNetlink(self, name)


class FakeNetlink:
    """Netlink of one namespace, with the names of rtnetlink.Netlink."""

    def __init__(self, kernel: FakeKernel, name: str) -> None:
        self.kernel, self.name, self.state = kernel, name, kernel.namespaces[name]

    def links(self) -> dict[str, rtnetlink.Link]:
        return dict(self.state.links)

    def own_addresses(self) -> dict[int, list[str]]:
        return {index: sorted(found) for index, found in self.state.addresses.items()}

    def own_routes(self) -> dict[int, list[tuple[str, str]]]:
        return {index: sorted(found) for index, found in self.state.routes.items()}

    def ensure_bridge(self, name: str) -> None:
        if name not in self.state.links:
            self._add(self.state, name, "bridge", 0, up=True)

    def plug(self, port: str, *, alias: str, bridge: str, mtu: int | None, peer_name: str, peer_namespace: str, peer_present: bool) -> None:
        peer = self.kernel.namespaces[peer_namespace]
        if port not in self.state.links:
            self.kernel.log.append(f"pair {alias}")
            inner = self._add(peer, peer_name, "veth", 0, up=False)
            outer = self._add(self.state, port, "veth", inner.index, up=True)
            peer.links[peer_name] = replace(inner, peer_index=outer.index)
        master = self.state.links[bridge].index
        if self.state.links[port].master_index != master:
            self.kernel.log.append(f"plug {alias} into {bridge}")
        self.state.links[port] = replace(self.state.links[port], master_index=master, mtu=mtu or self.state.links[port].mtu)

    def _add(self, state: FakeNamespace, name: str, kind: str, peer: int, *, up: bool) -> rtnetlink.Link:
        self.kernel.next_index += 1
        state.links[name] = rtnetlink.Link(name, self.kernel.next_index, kind, up, 1500, 0, peer)
        return state.links[name]

    def ensure_up(self, link: rtnetlink.Link, *, mtu: int | None) -> None:
        self.kernel.log.append(f"up {self.name}/{link.name}")
        self.state.links[link.name] = replace(link, up=True, mtu=mtu or link.mtu)

    def set_addresses(self, index: int, wanted: set[str]) -> None:
        self.state.addresses[index] = set(wanted)

    def set_routes(self, index: int, wanted: set[tuple[str, str]]) -> None:
        self.state.routes[index] = set(wanted)

    def rates(self) -> dict[int, int]:
        return dict(self.state.rates)

    def set_rate(self, index: int, mbit_per_s: int) -> None:
        self.kernel.log.append(f"rate {self.name}/{index} {mbit_per_s}")
        self.state.rates.pop(index, None)
        if mbit_per_s:
            self.state.rates[index] = mbit_per_s

    def delete(self, name: str) -> None:
        self.kernel.log.append(f"delete {self.name}/{name}")
        self.state.links.pop(name)


def install(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    """Put a fake kernel under the modules netns and netns_link."""
    kernel = FakeKernel()
    for name in ("exists", "create", "remove", "identity", "end_processes", "entered", "read_sysctl", "write_sysctl"):
        monkeypatch.setattr(namespaces, name, getattr(kernel, name))
    monkeypatch.setattr(namespaces, "own_identity", lambda: 1)
    monkeypatch.setattr(netns, "_loopback_up", lambda: kernel.here.loopback)
    monkeypatch.setattr(netns, "_set_loopback_up", lambda: setattr(kernel.here, "loopback", True))
    monkeypatch.setattr(rtnetlink, "opened", kernel.opened)
    assert links.rtnetlink is rtnetlink
    return kernel
