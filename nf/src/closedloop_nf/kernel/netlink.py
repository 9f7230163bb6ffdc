"""A small NETLINK_ROUTE client: attributes, requests, dumps, and batches of thousands of changes per system call.

pyroute2 is not used here: its synchronous API refuses to run inside a running asyncio loop (the functions' shells are one), it has no
`encap.red`, and it costs 150 ms of start-up that a failover would pay. What the data plane needs is the few dozen lines below.

Message layout: linux/netlink.h (struct nlmsghdr), linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from closedloop_nf.kernel.errors import KernelError

NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
NLM_F_DUMP: Final = 0x300
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400

UPSERT: Final = NLM_F_CREATE | NLM_F_REPLACE

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLM_F_ACK_TLVS = 0x200
_NLA_TYPE_MASK = 0x3FFF
_NLA_F_NESTED = 0x8000
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_SO_RCVBUFFORCE = 33
_NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_CHUNK = 256
"""Messages per sendmsg: as many errors as may come back at once still fit the receive buffer."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One netlink attribute, padded to 4 octets."""
    return _ATTRIBUTE.pack(len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NLA_F_NESTED, b"".join(attributes))


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, bytes((value,)))


def u16(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def parse_attributes(data: bytes) -> dict[int, bytes]:
    """Attribute type -> payload. The kernel is trusted to nest properly; a broken tail ends the walk."""
    found: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < 4:
            break
        found[kind & _NLA_TYPE_MASK] = data[position + 4 : position + length]
        position += (length + 3) & ~3
    return found


def message(kind: int, flags: int, body: bytes) -> bytes:
    """A request; sequence number and port are filled in when it is sent."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, 0, 0) + body


def split_messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence, payload) of each message in a datagram."""
    position = 0
    while position + 16 <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, position)
        if length < 16:
            return
        yield kind, flags, sequence, data[position + 16 : position + length]
        position += (length + 3) & ~3


class Template:
    """A message encoded once, whose 16-octet addresses are replaced per use.

    `make` receives the sentinel addresses and returns the encoded message; each sentinel must occur in it exactly once.
    """

    _SENTINELS = (bytes.fromhex("fd5e17a1000000000000000000000a01"), bytes.fromhex("fd5e17a1000000000000000000000a02"))

    def __init__(self, encoded: bytes, addresses: int) -> None:
        offsets = [encoded.index(sentinel) for sentinel in self._SENTINELS[:addresses]]
        self._order = sorted(range(addresses), key=lambda i: offsets[i])
        cuts = sorted(offsets)
        starts = [0] + [cut + 16 for cut in cuts]
        self._parts = [encoded[begin:end] for begin, end in zip(starts, [*cuts, len(encoded)], strict=True)]

    @classmethod
    def sentinels(cls) -> tuple[bytes, bytes]:
        """(first, second) placeholder addresses."""
        return cls._SENTINELS

    def fill(self, *addresses: bytes) -> bytes:
        """The message for these addresses, in the order of the sentinels."""
        pieces = [self._parts[0]]
        for part, which in zip(self._parts[1:], self._order, strict=True):
            pieces += (addresses[which], part)
        return b"".join(pieces)


class Netlink:
    """One netlink socket in the network namespace where it was opened. Synchronous; the kernel answers within the system call."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            self._socket.bind((0, 0))
            for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            _grow_receive_buffer(self._socket, 1 << 20)
        except OSError:
            self._socket.close()
            raise
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def request(self, what: str, encoded: bytes, *, tolerate: Iterable[int] = ()) -> int:
        """Send one change and return 0, or the tolerated errno the kernel answered. `what` names the change in the error.

        Raises KernelError.
        """
        failures = self.batch([encoded], tolerate=())
        if not failures:
            return 0
        _, code, hint = failures[0]
        if code in tolerate:
            return code
        raise KernelError(code, f"{what}: the kernel answered {os.strerror(code)}{f' ({hint})' if hint else ''}")

    def batch(self, messages: Sequence[bytes], *, tolerate: Iterable[int] = ()) -> list[tuple[int, int, str]]:
        """Send many changes; returns (index, errno, kernel's hint) of those that failed with an errno not in `tolerate`.

        Only the last message of a chunk asks for an acknowledgement: the kernel works through them in order and reports errors anyway.
        """
        tolerated = frozenset(tolerate)
        failures: list[tuple[int, int, str]] = []
        for start in range(0, len(messages), _CHUNK):
            failures += self._send_chunk(messages[start : start + _CHUNK], start, tolerated)
        return failures

    def _send_chunk(self, messages: Sequence[bytes], start: int, tolerated: frozenset[int]) -> list[tuple[int, int, str]]:
        first = self._sequence + 1
        self._sequence = (self._sequence + len(messages)) & 0x7FFFFFFF
        if self._sequence < first:
            first, self._sequence = 1, len(messages)
        last = self._sequence
        buffer = bytearray()
        for number, encoded in enumerate(messages, first):
            offset = len(buffer)
            buffer += encoded
            struct.pack_into("=I", buffer, offset + 8, number)
            if number == last:
                struct.pack_into("=H", buffer, offset + 6, struct.unpack_from("=H", buffer, offset + 6)[0] | NLM_F_ACK)
            buffer += bytes(-len(encoded) % 4)
        self._socket.send(buffer)
        failures = []
        while True:
            for kind, flags, sequence, payload in split_messages(self._socket.recv(1 << 16)):
                if kind != _NLMSG_ERROR or not first <= sequence <= last:
                    continue
                code = -struct.unpack_from("=i", payload)[0]
                if code and code not in tolerated:
                    failures.append((start + sequence - first, code, _hint(flags, payload)))
                if sequence == last:
                    return failures

    def ask(self, encoded: bytes) -> tuple[int, bytes] | None:
        """Send one request that is answered by one message: (type, payload), or None when the object does not exist."""
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        self._socket.send(_with_sequence(encoded, self._sequence))
        while True:
            for kind, _, sequence, payload in split_messages(self._socket.recv(1 << 16)):
                if sequence != self._sequence:
                    continue
                if kind != _NLMSG_ERROR:
                    return kind, payload
                code = -struct.unpack_from("=i", payload)[0]
                if code in (errno.ENODEV, errno.ENOENT, errno.ESRCH):
                    return None
                raise KernelError(code, f"netlink request {encoded[4] | encoded[5] << 8}: {os.strerror(code)}")

    def dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        """All objects a dump request answers with, as (type, payload). Raises KernelError."""
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        self._socket.send(_with_sequence(message(kind, NLM_F_DUMP, body), self._sequence))
        found: list[tuple[int, bytes]] = []
        while True:
            for answer, _, sequence, payload in split_messages(self._socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue
                if answer == _NLMSG_DONE:
                    return found
                if answer == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    raise KernelError(code, f"netlink dump {kind}: {os.strerror(code)}")
                found.append((answer, payload))


def _with_sequence(encoded: bytes, sequence: int) -> bytes:
    return encoded[:8] + struct.pack("=I", sequence) + encoded[12:]


def _hint(flags: int, payload: bytes) -> str:
    """The kernel's own words (extended acknowledgement), where it has any. Valid with NETLINK_CAP_ACK: the original is its header only."""
    if not flags & _NLM_F_ACK_TLVS:
        return ""
    return parse_attributes(payload[20:]).get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode("ascii", "replace")


def _grow_receive_buffer(sock: socket.socket, size: int) -> None:
    """SO_RCVBUFFORCE passes net.core.rmem_max with CAP_NET_ADMIN; without, take what the limit gives."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
