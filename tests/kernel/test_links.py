"""The link monitor against the kernel: carrier, SLAAC, router advertisements, solicitations."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest
from closedloop_nf.kernel.links import AddressState, LinkEvent, LinkMonitor, LinkState, RouterAdvertisementSeen
from closedloop_nf.kernel.mobile_node import KernelMobileNode
from closedloop_nf.kernel.sockets import Icmpv6Socket
from closedloop_nf.wire.icmpv6 import RouterAdvertisement, RouterSolicitation, build_icmpv6, parse_icmpv6
from closedloop_nf.wire.nd_options import PrefixInformation

from tests.kernel.bed import CARE_OF, Bed, octets

ALL_NODES = octets("ff02::1")
PREFIX = "2001:db8:c1::"


async def until(what: str, probe: Callable[[], object], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        await asyncio.sleep(0.005)


def advertise(bed: Bed, prefix: str, valid_s: int = 600) -> bytes:
    """One router advertisement from `r` on the visited link; its octets."""
    information = PrefixInformation(
        prefix=octets(prefix),
        prefix_length=64,
        on_link=True,
        autonomous=True,
        router_address=False,
        valid_lifetime=valid_s,
        preferred_lifetime=300,
    )
    message = RouterAdvertisement(
        hop_limit=64,
        managed=False,
        other=False,
        home_agent=False,
        router_lifetime=600,
        reachable_time=0,
        retransmit_timer=0,
        options=(information,),
    )
    with bed.inside("r"):
        sock = Icmpv6Socket((), interface="visited")
        index = socket.if_nametoindex("visited")
    assert sock.send(build_icmpv6(message, bytes(16), ALL_NODES), ALL_NODES, interface_index=index)
    sock.close()
    return build_icmpv6(message, bytes(16), ALL_NODES)


async def test_the_present_state_comes_first_then_every_change_once(bed: Bed) -> None:
    seen: list[LinkEvent] = []
    with bed.inside("mn"):
        monitor = LinkMonitor(["visited", "absent"], seen.append)
    monitor.start()
    addresses = [event for event in seen if isinstance(event, AddressState)]
    links = {event.interface: event for event in seen if isinstance(event, LinkState)}
    assert links["visited"].up
    assert not links["absent"].up
    assert [(found.address, found.usable, found.slaac) for found in addresses] == [(octets(CARE_OF), True, False)]

    seen.clear()
    advertise(bed, PREFIX)
    await until("advertisement seen", lambda: any(isinstance(event, RouterAdvertisementSeen) for event in seen))
    await until("address made", lambda: any(isinstance(event, AddressState) for event in seen))
    heard = next(event for event in seen if isinstance(event, RouterAdvertisementSeen))
    parsed = parse_icmpv6(heard.payload)
    assert isinstance(parsed, RouterAdvertisement)
    assert (heard.interface, parsed.router_lifetime) == ("visited", 600)
    made = next(event for event in seen if isinstance(event, AddressState))
    assert made.address.startswith(octets(PREFIX)[:8])
    assert (made.prefix_length, made.usable, made.slaac, made.removed) == (64, True, True, False)

    seen.clear()
    advertise(bed, PREFIX)
    await until("advertised again", lambda: seen)
    assert not any(isinstance(event, AddressState) for event in seen), "the same end is no change"

    seen.clear()
    bed.ip("fabric", "link set mn-visited down")
    await until("carrier lost", lambda: any(isinstance(event, LinkState) and not event.up for event in seen))
    bed.ip("fabric", "link set mn-visited up")
    await until("carrier back", lambda: isinstance(seen[-1], LinkState) and seen[-1].up)

    seen.clear()
    bed.ip("mn", f"address del {CARE_OF}/64 dev visited")
    await until("address gone", lambda: seen)
    assert isinstance(seen[0], AddressState)
    assert (seen[0].address, seen[0].removed, seen[0].usable) == (octets(CARE_OF), True, False)
    monitor.close()


async def test_the_end_of_an_addresss_lifetime_is_told_and_told_again_when_it_moves(bed: Bed) -> None:
    seen: list[LinkEvent] = []
    with bed.inside("mn"):
        monitor = LinkMonitor(["visited"], seen.append)
    monitor.start()
    manual = next(event for event in seen if isinstance(event, AddressState))
    assert manual.valid_until is None
    for valid_s in (600, 9000):
        seen.clear()
        begun = time.monotonic()
        advertise(bed, PREFIX, valid_s)
        await until("told", lambda: any(isinstance(event, AddressState) for event in seen))
        found = next(event for event in seen if isinstance(event, AddressState))
        assert found.valid_until is not None
        assert begun + valid_s - 2 < found.valid_until <= time.monotonic() + valid_s
    monitor.close()


async def test_an_interface_that_appears_later_is_noticed(bed: Bed) -> None:
    seen: list[LinkEvent] = []
    with bed.inside("mn"):
        monitor = LinkMonitor(["later"], seen.append)
    monitor.start()
    bed.ip("mn", "link add later type bridge")
    bed.ip("mn", "address add 2001:db8:d::1/64 dev later nodad")
    await until("seen", lambda: any(isinstance(event, AddressState) for event in seen))
    seen.clear()
    bed.ip("mn", "link del later")
    await until("gone", lambda: any(isinstance(event, AddressState) and event.removed for event in seen))
    monitor.close()


async def test_a_router_is_solicited_from_the_link_local_address(bed: Bed) -> None:
    with bed.inside("mn"):
        monitor = LinkMonitor(["visited"], lambda _: None)
    monitor.start()
    with bed.inside("r"):
        listener = Icmpv6Socket([RouterSolicitation.TYPE], interface="visited")
    got = []
    monitor.solicit_router("visited")
    await until("heard", lambda: got.extend(listener.recv_batch()) or got)
    assert got[0].source[:2] == b"\xfe\x80"
    assert got[0].hop_limit == 255
    message = parse_icmpv6(got[0].payload)
    assert isinstance(message, RouterSolicitation)
    assert len(message.options) == 1
    listener.close()
    monitor.close()


@pytest.mark.parametrize("keep", [False, True])
async def test_old_care_of_addresses_and_routers_are_flushed(bed: Bed, mobile_node: KernelMobileNode, keep: bool) -> None:
    seen: list[LinkEvent] = []
    with bed.inside("mn"):
        monitor = LinkMonitor(["visited"], seen.append)
    monitor.start()
    advertise(bed, PREFIX)
    await until("made", lambda: any(isinstance(event, AddressState) and event.slaac for event in seen))
    made = next(event.address for event in seen if isinstance(event, AddressState) and event.slaac)
    router = next(event.router for event in seen if isinstance(event, RouterAdvertisementSeen))
    with bed.inside("mn"):
        gone = mobile_node.flush_care_of_addresses("visited", [made] if keep else [], router if keep else None)
    assert gone == ([] if keep else [made])
    assert ("proto ra" in bed.ip("mn", "route show default")) is keep
    assert CARE_OF in bed.ip("mn", "address show dev visited"), "an address set by hand stays"
    monitor.close()
