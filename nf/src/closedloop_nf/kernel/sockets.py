"""Raw sockets: Mobility Header, ICMPv6, whole packets.

A Linux kernel without IPV6_MIP6 delivers what stands behind a Home Address option only to raw sockets of protocol 60, and what stands
behind a type 2 routing header only to those of protocol 43; it would answer both with a Parameter Problem, which the guard suppresses. So
a `MobilitySocket` is several sockets that look like one.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.wire.errors import ParseError
from closedloop_nf.wire.ipv6 import DESTINATION_OPTIONS, ICMPV6, ROUTING, checksum, parse_destination_options, parse_routing_header

MOBILITY_HEADER: Final = 135

_IPV6_UNICAST_HOPS, _IPV6_MULTICAST_HOPS, _IPV6_MULTICAST_LOOP = 16, 18, 19
_IPV6_RECVPKTINFO, _IPV6_PKTINFO, _IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 49, 50, 51, 52
_IPV6_JOIN_ANYCAST, _IPV6_LEAVE_ANYCAST = 27, 28
_ICMP6_FILTER = 1
_SO_RCVBUFFORCE = 33
_LARGEST = 65535
_ANCILLARY = socket.CMSG_SPACE(20) + socket.CMSG_SPACE(4)
_ND_HOP_LIMIT = 255


@dataclass(frozen=True, slots=True)
class ReceivedMobility:
    """One upper layer as it came in, for Mobile IPv6 to judge.

    Of next header 135 (Mobility Header) or 58 (ICMPv6) the checksum has been verified, over the home address where an option or routing
    header carries one (RFC 6275 sections 6.1.1, 11.3.1). Others appear only behind a Home Address option, as they are: a Binding Error
    answers those (section 9.3.1).
    """

    source: bytes
    destination: bytes
    home_address_option: bytes | None
    routing_home_address: bytes | None
    payload: bytes
    interface_index: int
    next_header: int = MOBILITY_HEADER


class MobilitySocket:
    """Receives what Mobile IPv6 is about, for the addresses of this namespace.

    role `home_agent`: Mobility Headers, and whatever stands behind a Home Address option. role `mobile_node`: Mobility Headers, and with
    ICMPv6 also behind a type 2 routing header.
    """

    def __init__(self, role: Literal["home_agent", "mobile_node"], *, interface: str | None = None, receive_buffer: int = 8 << 20) -> None:
        """interface: bind to this device only. Raises KernelError without CAP_NET_RAW."""
        self.counters: Counter[str] = Counter()
        """Packets not delivered, by reason."""
        behind, unwrap = (DESTINATION_OPTIONS, _behind_home_address) if role == "home_agent" else (ROUTING, _behind_routing_header)
        self._protocols: tuple[tuple[int, _Unwrap], ...] = ((MOBILITY_HEADER, _plain), (behind, unwrap))
        self._interface, self._receive_buffer = interface, receive_buffer
        self._sockets: list[tuple[socket.socket, _Unwrap]] = []
        self.reopen()

    def reopen(self) -> None:
        """New sockets in the place of those that failed; with other descriptors. Raises OSError."""
        self.close()
        try:
            for protocol, how in self._protocols:
                self._sockets.append((_raw(protocol, self._interface, self._receive_buffer), how))
        except OSError:
            self.close()
            raise

    def filenos(self) -> list[int]:
        """Descriptors to watch; call `recv_batch` when any is readable."""
        return [sock.fileno() for sock, _ in self._sockets]

    def recv_batch(self, limit: int = 256) -> list[ReceivedMobility]:
        """What has arrived, at most `limit` from each socket, never blocks. Bad packets are counted in `counters`, not raised.

        Raises KernelError when a socket has failed.
        """
        received: list[ReceivedMobility] = []
        idle = True
        for sock, unwrap in self._sockets:
            for _ in range(limit):
                packet = _receive(sock)
                if packet is None:
                    break
                idle = False
                try:
                    got = unwrap(*packet[:4])
                except ParseError as error:
                    self.counters[error.reason.value] += 1
                    continue
                if got.next_header in (MOBILITY_HEADER, ICMPV6) and not _checksum_ok(got):
                    self.counters["checksum"] += 1
                    continue
                received.append(got)
        if idle:
            self.check()  # woken for nothing
        return received

    def check(self) -> None:
        """See that all can receive: none shut down, failed, or closed. Raises KernelError."""
        if not self._sockets:
            raise KernelError(errno.EBADF, "the raw sockets are closed")
        poll = select.poll()
        for sock, _ in self._sockets:
            poll.register(sock.fileno(), select.POLLRDHUP)
        for _, happened in poll.poll(0):
            names = [name for name in ("POLLERR", "POLLHUP", "POLLNVAL", "POLLRDHUP") if happened & getattr(select, name)]
            raise KernelError(errno.ENOTCONN, f"a raw socket can no longer receive ({', '.join(names)})")

    def close(self) -> None:
        for sock, _ in self._sockets:
            with suppress(OSError):  # closed underneath
                sock.close()
        self._sockets.clear()


_Unwrap = Callable[[bytes, bytes, bytes, int], ReceivedMobility]
"""(source, destination, data, interface index) -> what the data is, or ParseError."""


def _plain(source: bytes, destination: bytes, data: bytes, index: int) -> ReceivedMobility:
    return ReceivedMobility(source, destination, None, None, data, index)


def _behind_home_address(source: bytes, destination: bytes, data: bytes, index: int) -> ReceivedMobility:
    header = parse_destination_options(data)
    return ReceivedMobility(source, destination, header.home_address, None, data[header.length :], index, header.next_header)


def _behind_routing_header(source: bytes, destination: bytes, data: bytes, index: int) -> ReceivedMobility:
    header = parse_routing_header(data)
    return ReceivedMobility(source, destination, None, header.home_address, header.rest, index, header.next_header)


def _checksum_ok(got: ReceivedMobility) -> bool:
    source = got.source if got.home_address_option is None else got.home_address_option
    destination = got.destination if got.routing_home_address is None else got.routing_home_address
    return checksum(source, destination, got.next_header, got.payload) == 0


class PacketSender:
    """Sends complete IPv6 packets (wire.ipv6.build_packet) with whatever source address they carry."""

    def __init__(self, *, interface: str | None = None) -> None:
        self.failures: Counter[str] = Counter()
        """Packets that could not be sent, by errno name."""
        self._socket = _raw(socket.IPPROTO_RAW, interface, None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)

    def disable_multicast_loop(self) -> None:
        """What is sent to a multicast group does not come back to members on this node."""
        self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_LOOP, 0)

    def send(self, packet: bytes, *, interface_index: int = 0) -> bool:
        """Send; False and counted when the kernel has no route or buffer for it (a lost packet, as on any link).

        interface_index: needed for link-local and multicast destinations.
        """
        return _send(self._socket, packet, packet[24:40], interface_index, [], self.failures)

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class ReceivedIcmpv6:
    """One ICMPv6 message; `payload` begins at the type octet, the kernel has verified the checksum."""

    source: bytes
    destination: bytes
    payload: bytes
    interface_index: int
    hop_limit: int


class Icmpv6Socket:
    """ICMPv6 of the given types only (kernel filter, RFC 3542 section 3.2)."""

    def __init__(self, types: Iterable[int], *, interface: str | None = None, receive_buffer: int = 1 << 20) -> None:
        self.failures: Counter[str] = Counter()
        """Messages that could not be sent, by errno name."""
        self._socket = _raw(socket.IPPROTO_ICMPV6, interface, receive_buffer)
        self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
        self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_HOPS, _ND_HOP_LIMIT)
        self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_HOPS, _ND_HOP_LIMIT)
        self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_LOOP, 0)
        blocked = [0xFFFFFFFF] * 8
        for kind in types:
            blocked[kind >> 5] &= ~(1 << (kind & 31))
        self._socket.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *blocked))

    def fileno(self) -> int:
        return self._socket.fileno()

    def recv_batch(self, limit: int = 256) -> list[ReceivedIcmpv6]:
        """What has arrived, at most `limit`, never blocks."""
        received: list[ReceivedIcmpv6] = []
        while len(received) < limit and (packet := _receive(self._socket)) is not None:
            source, destination, data, index, hop_limit = packet
            received.append(ReceivedIcmpv6(source, destination, data, index, hop_limit))
        return received

    def send(
        self, message: bytes, destination: bytes, *, source: bytes | None = None, interface_index: int = 0, hop_limit: int | None = None
    ) -> bool:
        """Send one ICMPv6 message (the kernel fills in the checksum); False and counted when it could not be sent.

        source None: the kernel's choice; it must be an address of this namespace. hop_limit None: 255, as neighbour discovery needs.
        """
        ancillary: list[tuple[int, int, bytes]] = []
        if source is not None:
            ancillary.append((socket.IPPROTO_IPV6, _IPV6_PKTINFO, source + struct.pack("=i", interface_index)))
        if hop_limit is not None:
            ancillary.append((socket.IPPROTO_IPV6, _IPV6_HOPLIMIT, struct.pack("=i", hop_limit)))
        return _send(self._socket, message, destination, interface_index, ancillary, self.failures)

    def join_anycast(self, address: bytes, interface: str) -> None:
        """Receive what is sent to the anycast `address` (DHAAD: the Mobile IPv6 Home-Agents anycast address, RFC 2526)."""
        self._membership(_IPV6_JOIN_ANYCAST, "join anycast", address, interface_index(interface))

    def leave_anycast(self, address: bytes, interface: str) -> None:
        """Undo join_anycast; no error where it was not joined."""
        with suppress(KernelError):
            self._membership(_IPV6_LEAVE_ANYCAST, "leave anycast", address, interface_index(interface))

    def join_multicast(self, address: bytes, interface_index: int) -> None:
        """Receive what is sent to the group on the interface. The kernel bounds a socket's groups (net.core.optmem_max)."""
        self._membership(socket.IPV6_JOIN_GROUP, "join multicast", address, interface_index)

    def leave_multicast(self, address: bytes, interface_index: int) -> None:
        """Undo join_multicast; no error where it was not joined."""
        with suppress(KernelError):
            self._membership(socket.IPV6_LEAVE_GROUP, "leave multicast", address, interface_index)

    def _membership(self, option: int, what: str, address: bytes, interface_index: int) -> None:
        try:
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, address + struct.pack("=i", interface_index))
        except OSError as error:
            text = socket.inet_ntop(socket.AF_INET6, address)
            raise KernelError(error.errno or 0, f"{what} address {text} on interface {interface_index}: {error.strerror}") from error

    def close(self) -> None:
        self._socket.close()


def interface_index(interface: str) -> int:
    """Index of an interface of the calling thread's namespace. Raises KernelError that names it."""
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:
        raise KernelError(error.errno or 0, f"interface {interface!r} does not exist in this network namespace") from error


_ABOUT_PACKETS: Final = frozenset(
    (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED, errno.EPROTO, errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM)
)
"""What the kernel makes of ICMPv6 errors (icmpv6_err_convert), and passing want of memory."""


# --- shared --------------------------------------------------------------------------------------------------------------------------


def _raw(protocol: int, interface: str | None, receive_buffer: int | None) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    except PermissionError as error:
        raise KernelError(error.errno or 0, f"raw socket of protocol {protocol} refused; the process needs CAP_NET_RAW") from error
    try:
        if interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if receive_buffer is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            _set_receive_buffer(sock, receive_buffer)
    except OSError as error:
        sock.close()
        raise KernelError(error.errno or 0, f"raw socket of protocol {protocol} on interface {interface!r}: {error.strerror}") from error
    return sock


def _set_receive_buffer(sock: socket.socket, size: int) -> None:
    """With CAP_NET_ADMIN beyond net.core.rmem_max, else up to it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _receive(sock: socket.socket) -> tuple[bytes, bytes, bytes, int, int] | None:
    """(source, destination, data, interface index, hop limit) of the next packet, None when there is none."""
    while True:
        try:
            data, ancillary, _, sender = sock.recvmsg(_LARGEST, _ANCILLARY)
            break
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _ABOUT_PACKETS:
                continue  # an ICMPv6 error about a packet sent earlier; reading it clears it
            raise KernelError(error.errno or 0, f"a raw socket can no longer receive: {error.strerror}") from error
    destination, index, hop_limit = bytes(16), 0, -1
    for _, kind, value in ancillary:
        if kind == _IPV6_PKTINFO:
            destination, index = value[:16], struct.unpack_from("=I", value, 16)[0]
        elif kind == _IPV6_HOPLIMIT:
            hop_limit = struct.unpack("=i", value)[0]
    source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
    return source, destination, data, index, hop_limit


def _send(
    sock: socket.socket,
    data: bytes,
    destination: bytes,
    interface_index: int,
    ancillary: list[tuple[int, int, bytes]],
    failures: Counter[str],
) -> bool:
    scope = interface_index if destination[0] in (0xFE, 0xFF) else 0
    target = (socket.inet_ntop(socket.AF_INET6, destination), 0, 0, scope)
    try:
        sock.sendmsg([data], ancillary, 0, target)
    except OSError as error:
        failures[_errno_name(error.errno)] += 1
        return False
    return True


def _errno_name(code: int | None) -> str:
    return errno.errorcode.get(code or 0, "unknown").lower()
