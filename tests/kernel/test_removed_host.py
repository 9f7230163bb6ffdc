"""A host that is removed is silent from the first moment: the kernel takes its packet filter away before its interfaces."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import links, namespaces, netns
from closedloop_nf.wire.icmpv6 import NeighborAdvertisement, NeighborSolicitation, build_icmpv6
from closedloop_nf.wire.ipv6 import ICMPV6, build_packet, solicited_node
from closedloop_nf.wire.nd_options import SourceLinkLayerAddress

from tests.kernel.bed import drained, octets

ADDRESS, ASKER = "2001:db8:a::5", "fe80::bad:1"
SILENT = """
    add table ip6 silent
    add chain ip6 silent leaving { type filter hook output priority 0; policy drop; }
"""


@pytest.fixture
def lab() -> Iterator[str]:
    """A host that has an address and lets nothing out, and one that asks for it."""
    name = f"clk{os.getpid()}r"
    hosts = [f"{name}-removed", f"{name}-asker"]
    everything = [{"name": host, "sysctls": {}} for host in (f"{name}-fabric", *hosts)]
    try:
        netns.run({"namespaces": everything, "state": "present", "grace_ms": 100}, check_mode=False)
        wanted = [{"namespace": host, "name": "eth0", "link": "home", "roaming": False, "sysctls": {"accept_dad": 0}} for host in hosts]
        links.run({"fabric": f"{name}-fabric", "interfaces": wanted, "state": "present"}, check_mode=False)
        with namespaces.entered(hosts[0]):
            subprocess.run(["nft", "-f", "-"], input=SILENT, text=True, check=True)
            subprocess.run(["ip", "-6", "address", "add", f"{ADDRESS}/128", "dev", "eth0", "nodad"], check=True)
        yield name
    finally:
        netns.run({"namespaces": everything, "state": "absent", "grace_ms": 100}, check_mode=False)


@pytest.mark.parametrize("attempt", range(5))
def test_a_host_whose_filter_keeps_it_silent_does_not_speak_while_it_is_removed(lab: str, attempt: int) -> None:
    with namespaces.entered(f"{lab}-asker"):
        asking = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        asking.bind(("eth0", 0x86DD))
    own, group = asking.getsockname()[4], solicited_node(octets(ADDRESS))
    message = NeighborSolicitation(octets(ADDRESS), options=(SourceLinkLayerAddress(own),))
    packet = build_packet(octets(ASKER), group, ICMPV6, build_icmpv6(message, octets(ASKER), group), hop_limit=255)
    frame = b"\x33\x33" + group[-4:] + own + b"\x86\xdd" + packet
    stop, asked = threading.Event(), 0

    def ask() -> None:
        nonlocal asked
        while not stop.is_set():
            asking.send(frame)
            asked += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        netns.run({"namespaces": [{"name": f"{lab}-removed", "sysctls": {}}], "state": "absent", "grace_ms": 100}, check_mode=False)
        stop.wait(0.5)
        stop.set()
        thread.join()
        asking.setblocking(False)
        assert asked > 1000
        assert [got for got in drained(asking) if got[54:55] == bytes([NeighborAdvertisement.TYPE])] == []
    finally:
        stop.set()
        thread.join()
        asking.close()
