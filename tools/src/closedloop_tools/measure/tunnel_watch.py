"""When a mobile node first gets a packet through another home agent than before: seen on its link, outside of the tunnel."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import time

from closedloop_tools.namespaces import in_namespace

_ETH_P_IPV6 = 0x86DD
_SO_ATTACH_FILTER = 26
_SO_TIMESTAMPNS = 35
_IPV6_IN_IPV6 = 41
# Classic BPF on an IPv6 packet without its link header (SOCK_DGRAM): a packet of protocol 41 whose source is not the given one.
_LD_W, _LD_B, _JEQ, _RET = 0x20, 0x30, 0x15, 0x06
_SOURCE, _NEXT_HEADER = 8, 6


class TunnelWatch:
    """A context manager; `first_ns` is CLOCK_MONOTONIC nanoseconds of the first such packet, None as long as there was none."""

    def __init__(self, namespace: str, interface: str, home_agent: str) -> None:
        """home_agent: address from which tunnelled packets come now."""
        self._socket: socket.socket = in_namespace(namespace, lambda: _open(interface, ipaddress.IPv6Address(home_agent).packed))

    def __enter__(self) -> TunnelWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def first_ns(self) -> int | None:
        """The kernel's time stamp of the first packet, as it waits in the socket."""
        try:
            _data, ancillary, _flags, _from = self._socket.recvmsg(64, 256, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return None
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("@ll", data[:16])
                return int(seconds * 1_000_000_000 + nanoseconds) - (time.time_ns() - time.monotonic_ns())
        raise RuntimeError("the kernel gave no time stamp")


def _open(interface: str, source: bytes) -> socket.socket:
    watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    watch.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    _attach(watch, _program(source))
    watch.bind((interface, _ETH_P_IPV6))
    return watch


def _program(source: bytes) -> list[tuple[int, int, int, int]]:
    """(code, jump if true, jump if false, operand) of each instruction: a word of the source that differs accepts, all four equal drop."""
    words = struct.unpack("!4I", source)
    program = [(_LD_B, 0, 0, _NEXT_HEADER), (_JEQ, 0, 2 * len(words), _IPV6_IN_IPV6)]
    for number, word in enumerate(words):
        left = 2 * (len(words) - number - 1)
        program += [(_LD_W, 0, 0, _SOURCE + 4 * number), (_JEQ, 0, left + 1, word)]
    return [*program, (_RET, 0, 0, 0), (_RET, 0, 0, 64)]


def _attach(watch: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = b"".join(struct.pack("@HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    watch.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer)))
