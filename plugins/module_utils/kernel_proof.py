# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What the running kernel does with the packets of Mobile IPv6, seen in two throw-away network namespaces.

    mobile node 2001:db8:c::1 (home address 2001:db8:a::1) ---- 2001:db8:c::2 correspondent

The namespaces have no names, so they end with the process, whatever ends that. The headers are the kernel's own: its transformations
(xfrm, mode `ro`) at one end add what those at the other have to take away, and a packet socket looks at what is between them.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

CARE_OF = "2001:db8:c::1"
HOME = "2001:db8:a::1"
CORRESPONDENT = "2001:db8:c::2"
WAIT_S = 2.0

MOBILITY_HEADER = 135
_IPV6_CHECKSUM = 7
_ETH_P_ALL = 3
_DESTINATION_OPTIONS = 60
_ROUTING = 43
_IPV6 = 41


class _NotWorking(Exception):
    """What the kernel did instead."""


class _Host:
    """A namespace without a name."""

    def __init__(self, resources: ExitStack) -> None:
        self._resources = resources
        with namespaces.nowhere():
            self._descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        resources.callback(os.close, self._descriptor)

    @property
    def path(self) -> str:
        """As `ip` takes it for the name of a namespace, while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def ip(self, *commands: str) -> None:
        for command in commands:
            with namespaces.inside(self._descriptor):
                done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
            if done.returncode:
                raise _NotWorking(f"ip {command}: {' '.join(done.stderr.split()) or done.returncode}")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        with namespaces.inside(self._descriptor):
            made = self._resources.enter_context(socket.socket(family, kind, protocol))
        made.settimeout(WAIT_S)
        return made

    def udp(self, address: str) -> socket.socket:
        made = self.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        made.bind((address, 0))
        return made

    def tap(self) -> socket.socket:
        """Sees what comes in by the link, as IPv6 packets."""
        made = self.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        made.bind(("wire", _ETH_P_ALL))
        return made


class _Pair:
    def __init__(self, resources: ExitStack) -> None:
        self.node, self.correspondent = _Host(resources), _Host(resources)
        # Of two ends with the same index the kernel is in no hurry to use the link: it takes a second.
        self.node.ip(f"link add wire index 10 type veth peer name wire netns {self.correspondent.path}")
        for host, address in ((self.node, CARE_OF), (self.correspondent, CORRESPONDENT)):
            host.ip("link set lo up", f"-6 address add {address}/64 dev wire nodad", "link set wire up")


@contextmanager
def _pair() -> Iterator[_Pair]:
    with ExitStack() as resources:
        try:
            made = _Pair(resources)
        except _NotWorking as why:
            raise MobilityError(f"no proof can be made without two hosts and a link (CONFIG_NET_NS, CONFIG_VETH): {why}") from why
        yield made


def proofs() -> dict[str, dict[str, Any]]:
    """For each feature whether it `works`, and in `detail` what was seen. Raises MobilityError where namespaces cannot be made."""
    found = {}
    for name, prove in PROOFS.items():
        try:
            with _pair() as pair:
                detail = prove(pair)
            found[name] = {"works": True, "detail": detail}
        except _NotWorking as why:
            found[name] = {"works": False, "detail": str(why)}
        except OSError as error:
            raise MobilityError(f"the proof of {name} cannot be made: {error}; it needs root and the package iproute2") from error
    return found


def _got(sock: socket.socket, what: str) -> tuple[bytes, Any]:
    try:
        return sock.recvfrom(65535)
    except TimeoutError:
        raise _NotWorking(f"{what} did not arrive within {WAIT_S:g} s") from None


def _exchanged(sender: socket.socket, receiver: socket.socket, what: str) -> None:
    """A datagram gets from one socket to the other, from and to the addresses that they are bound to."""
    sender.sendto(what.encode(), receiver.getsockname()[:2])
    payload, source = _got(receiver, what)
    if (payload, source[0]) != (what.encode(), sender.getsockname()[0]):
        raise _NotWorking(f"{what} arrived from {source[0]} instead of {sender.getsockname()[0]}")


def _seen(tap: socket.socket, next_header: int, what: str) -> bytes:
    """The next packet on the link with this header right behind that of IPv6."""
    while True:
        packet = _got(tap, f"a packet with {what}")[0]
        if packet[0] >> 4 == 6 and packet[6] == next_header:
            return packet


def _mobility_header(pair: _Pair) -> str:
    receiver = pair.correspondent.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY_HEADER)
    sender = pair.node.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY_HEADER)
    sender.bind((CARE_OF, 0))
    # A Binding Update (RFC 6275 section 6.1.7) of sequence number 1, and of 2.
    update = struct.pack("!BBBBHHHHHH", 59, 1, 5, 0, 0, 1, 0xC000, 15, 0x0100, 0x0100)
    sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, -1)
    sender.sendto(update, (CORRESPONDENT, 0))
    sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, 4)
    genuine = update[:6] + struct.pack("!H", 2) + update[8:]
    sender.sendto(genuine, (CORRESPONDENT, 0))
    received = _got(receiver, "a Binding Update")[0]
    if received[6:] != genuine[6:]:
        raise _NotWorking("a Binding Update with a wrong checksum was accepted")
    return "a Binding Update arrived, one with a wrong checksum did not"


def _optimised(pair: _Pair) -> tuple[socket.socket, socket.socket]:
    """Both ends know the binding; sockets of the home address and of the correspondent."""
    pair.node.ip(f"-6 address add {HOME}/128 dev lo nodad home")
    pair.correspondent.ip(f"-6 route add {HOME}/128 dev wire")
    there, back = f"src {HOME} dst {CORRESPONDENT}", f"src {CORRESPONDENT} dst {HOME}"
    for host, directions in ((pair.node, ("out", "in")), (pair.correspondent, ("in", "out"))):
        for ends, protocol, direction in ((there, "hao", directions[0]), (back, "route2", directions[1])):
            host.ip(
                f"xfrm state add {ends} proto {protocol} mode ro coa {CARE_OF}",
                f"xfrm policy add {ends} dir {direction} tmpl {ends} proto {protocol} mode ro level use",
            )
    return pair.node.udp(HOME), pair.correspondent.udp(CORRESPONDENT)


def _home_address_option(pair: _Pair) -> str:
    node, correspondent = _optimised(pair)
    tap = pair.correspondent.tap()
    _exchanged(node, correspondent, "a datagram with a Home Address option")
    packet = _seen(tap, _DESTINATION_OPTIONS, "destination options")
    if packet[8:24] != _octets(CARE_OF) or b"\xc9\x10" + _octets(HOME) not in packet[40:64]:
        raise _NotWorking("the packet on the link has no Home Address option, or not the care-of address for its source")
    return f"from {CARE_OF} on the link, from {HOME} at the socket"


def _type_2_routing_header(pair: _Pair) -> str:
    node, correspondent = _optimised(pair)
    tap = pair.node.tap()
    _exchanged(correspondent, node, "a datagram with a type 2 routing header")
    packet = _seen(tap, _ROUTING, "a routing header")
    if packet[24:40] != _octets(CARE_OF) or packet[42] != 2 or packet[48:64] != _octets(HOME):
        raise _NotWorking("the packet on the link has no type 2 routing header, or not the care-of address for its destination")
    return f"to {CARE_OF} on the link, to {HOME} at the socket"


def _ipv6_in_ipv6(pair: _Pair) -> str:
    ends = ((pair.node, CARE_OF, CORRESPONDENT, "2001:db8:1::1"), (pair.correspondent, CORRESPONDENT, CARE_OF, "2001:db8:1::2"))
    for host, local, remote, inner in ends:
        host.ip(
            f"link add tunnel type ip6tnl mode ip6ip6 local {local} remote {remote} encaplimit none",
            f"-6 address add {inner}/64 dev tunnel nodad",
            "link set tunnel up",
        )
    node, correspondent = (host.udp(inner) for host, _local, _remote, inner in ends)
    for sender, receiver, tap in ((node, correspondent, pair.correspondent.tap()), (correspondent, node, pair.node.tap())):
        _exchanged(sender, receiver, "a datagram in a tunnel")
        _seen(tap, _IPV6, "IPv6 in it")
    return "datagrams got through a tunnel both ways"


def _xfrm_sub_policy(pair: _Pair) -> str:
    node, correspondent = pair.node.udp(CARE_OF), pair.correspondent.udp(CORRESPONDENT)
    ends = f"src {CARE_OF} dst {CORRESPONDENT} dir out"
    pair.node.ip(f"xfrm policy add {ends} ptype main action allow")
    _exchanged(node, correspondent, "a datagram that the main policy allows")
    pair.node.ip(f"xfrm policy add {ends} ptype sub action block")
    try:
        node.sendto(b"blocked", correspondent.getsockname()[:2])
    except PermissionError:
        pass
    else:
        raise _NotWorking("a datagram that the sub policy blocks was sent")
    pair.node.ip(f"xfrm policy delete {ends} ptype sub")
    _exchanged(node, correspondent, "a datagram after the sub policy is gone")
    return "a sub policy has blocked what the main policy allows"


def _octets(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


PROOFS: dict[str, Callable[[_Pair], str]] = {
    "mobility_header": _mobility_header,
    "home_address_option": _home_address_option,
    "type_2_routing_header": _type_2_routing_header,
    "ipv6_in_ipv6": _ipv6_in_ipv6,
    "xfrm_sub_policy": _xfrm_sub_policy,
}
