"""Our daemons with a peer that is the kernel's own Mobile IPv6 (CONFIG_IPV6_MIP6): its transformations (xfrm, mode `ro`) add and take away
Home Address options and type 2 routing headers, its `ip6tnl` is the other end of the tunnel. What is signed and when is the test's part.
conftest.py leaves this file out on a kernel without; the stage `uml` has one with it.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.mobility_options import ReplayProtection, find_option

from tests.daemons.data_plane.network import Network
from tests.daemons.ha_b.certificates import Authority
from tests.daemons.mobile_node.lab import KEY, SPI
from tests.kernel.bed import CARE_OF, CORRESPONDENT, HOME_ADDRESS, HOME_AGENT, Bed, eventually, octets, received, run

Bring = Callable[[], Network]


@pytest.fixture
def bring(tmp_path: Path, data_plane: str) -> Iterator[Bring]:
    """Makes a network in which no daemon runs yet."""
    made: list[Network] = []

    def make() -> Network:
        made.append(Network(tmp_path, Authority(tmp_path), data_plane))
        return made[0]

    yield make
    for network in made:
        network.close()


def transform(bed: Bed, host: str, care_of: str, home_address_option: str, routing_header: str) -> None:
    """Let the kernel of a host add, or take away, what Mobility Headers carry: directions are `out` and `in`."""
    there, back = f"src {HOME_ADDRESS} dst {HOME_AGENT}", f"src {HOME_AGENT} dst {HOME_ADDRESS}"
    for ends, protocol, direction in ((there, "hao", home_address_option), (back, "route2", routing_header)):
        for words in (
            f"xfrm state add {ends} proto {protocol} mode ro coa {care_of}",
            f"xfrm policy add {ends} proto 135 dir {direction} ptype sub tmpl {ends} proto {protocol} mode ro level use",
        ):
            run("ip", "-n", bed.name(host), *words.split())


def tunnel(bed: Bed, host: str, local: str, remote: str) -> None:
    words = f"link add peer type ip6tnl mode ip6ip6 local {local} remote {remote} encaplimit none"
    run("ip", "-n", bed.name(host), *words.split())
    run("ip", "-n", bed.name(host), "link", "set", "peer", "up")


def mobility_socket(bed: Bed, host: str, address: str) -> socket.socket:
    """Of the kernel, which makes and verifies the checksum."""
    with bed.inside(host):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, mobility.MOBILITY_HEADER)
    sock.bind((address, 0))
    return sock


def signed(message: mobility.BindingUpdate | mobility.BindingAcknowledgement, care_of: str) -> bytes:
    return authentication.authenticate(
        message, care_of_address=octets(care_of), home_address=octets(HOME_ADDRESS), spi=SPI, key=bytes.fromhex(KEY)
    )


def genuine(data: bytes, care_of: str) -> bool:
    found = authentication.verify(
        data, care_of_address=octets(care_of), home_address=octets(HOME_ADDRESS), key_for_spi=lambda _: bytes.fromhex(KEY)
    )
    return found is authentication.VerifyResult.OK


def test_a_mobile_node_that_is_the_kernel_registers_at_ours_and_has_traffic(bring: Bring) -> None:
    network = bring()
    network.serve_home_agent()
    bed = network.bed
    bed.ip("mn", f"address add {HOME_ADDRESS}/128 dev lo nodad home")
    transform(bed, "mn", CARE_OF, "out", "in")
    answer: bytes | None = None
    sequences: list[int] = []
    with mobility_socket(bed, "mn", HOME_ADDRESS) as sock:

        def acknowledged() -> bool:
            nonlocal answer
            replay = ReplayProtection(authentication.ntp_timestamp(time.time()))
            sequences.append(len(sequences) + 1)
            update = mobility.BindingUpdate(sequences[-1], True, True, False, False, 100, (replay,))
            sock.sendto(signed(update, CARE_OF), (HOME_AGENT, 0))
            answer = received(sock, within_s=2)
            return answer is not None

        eventually("an acknowledgement comes through the kernel's type 2 routing header", acknowledged)
    assert answer is not None
    assert genuine(answer, CARE_OF)
    acknowledgement = mobility.parse_mobility(answer)
    assert isinstance(acknowledgement, mobility.BindingAcknowledgement)
    assert acknowledgement.status == 0
    assert acknowledgement.sequence in sequences
    tunnel(bed, "mn", CARE_OF, HOME_AGENT)
    bed.ip("mn", "route add default dev peer table 42")
    bed.ip("mn", f"rule add from {HOME_ADDRESS} table 42")
    eventually("the correspondent reaches the home address", lambda: bed.ping("cn", HOME_ADDRESS, count=1) == 1)
    assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS) == 3


def test_our_mobile_node_registers_at_a_home_agent_that_is_the_kernel_and_has_traffic(bring: Bring) -> None:
    network = bring()
    bed = network.bed
    with bed.inside("ha"):
        for key in ("all/forwarding", "all/proxy_ndp"):
            Path(f"/proc/sys/net/ipv6/conf/{key}").write_text("1", encoding="ascii")
    network.advertise()
    network.start_mobile_node()

    def care_of() -> str:
        found = re.search(r"inet6 (2001:db8:c:\S+)/64 scope global(?! tentative)", bed.ip("mn", "address show dev visited"))
        return found[1] if found else ""

    eventually("the mobile node has a care-of address", care_of)
    visiting = care_of()
    transform(bed, "ha", visiting, "in", "out")
    with mobility_socket(bed, "ha", HOME_AGENT) as sock:

        def bound() -> bool:
            data = received(sock, within_s=0.1)
            if data is not None:
                update = mobility.parse_mobility(data)
                assert isinstance(update, mobility.BindingUpdate)
                assert genuine(data, visiting)
                replay = find_option(update.options, ReplayProtection)
                options = () if replay is None else (ReplayProtection(replay.timestamp),)
                acknowledgement = mobility.BindingAcknowledgement(0, False, update.sequence, update.lifetime, options)
                sock.sendto(signed(acknowledgement, visiting), (HOME_ADDRESS, 0))
            return bool(network.mobile_node.events("bound"))

        eventually("our mobile node takes the acknowledgement behind the kernel's routing header", bound)
    tunnel(bed, "ha", HOME_AGENT, visiting)
    bed.ip("ha", f"route add {HOME_ADDRESS}/128 dev peer")
    bed.ip("ha", f"neigh add proxy {HOME_ADDRESS} dev home")
    eventually("the correspondent reaches the home address", lambda: bed.ping("cn", HOME_ADDRESS, count=1) == 1)
    assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS) == 3
