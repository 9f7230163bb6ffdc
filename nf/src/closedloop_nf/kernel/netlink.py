"""A netlink socket for messages that pyroute2 encodes and decodes: requests, dumps, events, and batches of thousands of changes.

pyroute2's own sockets cannot carry the data plane: the synchronous ones run an event loop of their own, which is refused inside a running
one, and the asynchronous ones make every change a point where something else may happen in between. They also encode each message anew.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyroute2.netlink import (  # type: ignore[import-untyped] # it has no type hints
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
)
from pyroute2.netlink.marshal import Marshal  # type: ignore[import-untyped]

from closedloop_nf.kernel.errors import KernelError

_SO_RCVBUFFORCE = 33
_CHUNK = 256
"""Messages per sendmsg: as many errors as may come back at once still fit the receive buffer."""
_LARGEST = 1 << 16
"""The kernel sends no longer datagrams: a dump comes in pieces of at most 32 KiB."""
_FLAGS_OFFSET, _SEQUENCE_OFFSET = 6, 8
"""In struct nlmsghdr."""

Answers = Mapping[int, Any]
"""Message type -> pyroute2's class of it."""


def encoded(message: Any, kind: int, how: int = 0, attributes: Sequence[tuple[str, object]] = (), **fields: object) -> bytes:
    """The request of this type with these fields and attributes; `how`: NLM_F_* flags. It gets its sequence number when it is sent."""
    message["header"] = {"type": kind, "flags": how | NLM_F_REQUEST, "sequence_number": 0, "pid": 0}
    message.update(fields)
    message["attrs"] = [*attributes]
    message.encode()
    return bytes(message.data)


def decoded(data: bytes, answers: Answers) -> Iterator[Any]:
    """The messages of a datagram. Of one that is not among `answers` only the header is read."""
    marshal = Marshal()
    marshal.msg_map = answers
    found: Iterator[Any] = marshal.parse(data)
    return found


@dataclass(frozen=True, slots=True)
class Dump:
    """A request for all objects of a kind, and what they come as."""

    request: bytes
    answers: Answers


class Failure(NamedTuple):
    """A change that the kernel refused. number: in the batch, from 0; hint: the kernel's own words, where it has any."""

    number: int
    code: int
    hint: str

    @property
    def reason(self) -> str:
        return f"{os.strerror(self.code)}{f' ({self.hint})' if self.hint else ''}"


class Netlink:
    """One netlink socket in the network namespace where it was opened. Synchronous; the kernel answers within the system call."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            self._socket.bind((0, 0))
            for option in (NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
                self._socket.setsockopt(SOL_NETLINK, option, 1)
            _grow_receive_buffer(self._socket, 1 << 20)
        except OSError:
            self._socket.close()
            raise
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def request(self, what: str, message: bytes, *, tolerate: Iterable[int] = ()) -> int:
        """Send one change and return 0, or the tolerated errno the kernel answered. `what` names the change in the error.

        Raises KernelError.
        """
        failures = self.batch([message])
        if not failures:
            return 0
        if failures[0].code in tolerate:
            return failures[0].code
        raise KernelError(failures[0].code, f"{what}: the kernel answered {failures[0].reason}")

    def batch(self, messages: Sequence[bytes], *, tolerate: Iterable[int] = ()) -> list[Failure]:
        """Send many changes; returns those that failed with an errno not in `tolerate`.

        Only the last message of a chunk asks for an acknowledgement: the kernel works through them in order and reports errors anyway.
        """
        tolerated = frozenset(tolerate)
        failures: list[Failure] = []
        for start in range(0, len(messages), _CHUNK):
            failures += self._send_chunk(messages[start : start + _CHUNK], start, tolerated)
        return failures

    def _send_chunk(self, messages: Sequence[bytes], start: int, tolerated: frozenset[int]) -> list[Failure]:
        first = self._sequence + 1
        self._sequence = (self._sequence + len(messages)) & 0x7FFFFFFF
        if self._sequence < first:
            first, self._sequence = 1, len(messages)
        last = self._sequence
        buffer = bytearray()
        for number, message in enumerate(messages, first):
            offset = len(buffer)
            buffer += message
            struct.pack_into("=I", buffer, offset + _SEQUENCE_OFFSET, number)
            buffer += bytes(-len(message) % 4)
        struct.pack_into("=H", buffer, offset + _FLAGS_OFFSET, struct.unpack_from("=H", buffer, offset + _FLAGS_OFFSET)[0] | NLM_F_ACK)
        self._socket.send(buffer)
        failures = []
        while True:
            for answer in self._receive({}):
                header = answer["header"]
                if header["type"] != NLMSG_ERROR or not first <= header["sequence_number"] <= last:
                    continue
                code = -answer["error"]
                if code and code not in tolerated:
                    failures.append(Failure(start + header["sequence_number"] - first, code, answer.get_attr("NLMSGERR_ATTR_MSG") or ""))
                if header["sequence_number"] == last:
                    return failures

    def ask(self, message: bytes, answers: Answers) -> Any | None:
        """Send one request that is answered by one message; None when the object does not exist. Raises KernelError."""
        for answer in self._answers(message, answers):
            header = answer["header"]
            if header["type"] != NLMSG_ERROR:
                return answer
            code = -answer["error"]
            if code in (errno.ENODEV, errno.ENOENT, errno.ESRCH):
                return None
            raise KernelError(code, f"netlink request: {os.strerror(code)}")
        return None

    def dump(self, wanted: Dump) -> Iterator[Any]:
        """All objects the dump answers with. Raises KernelError. No other request goes out before the last of them is taken."""
        for answer in self._answers(wanted.request, wanted.answers, NLM_F_DUMP):
            kind = answer["header"]["type"]
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise KernelError(-answer["error"], f"netlink dump: {os.strerror(-answer['error'])}")
            yield answer

    def _answers(self, message: bytes, answers: Answers, flags: int = 0) -> Iterator[Any]:
        """What comes back for one request, without end."""
        self._sequence = sequence = (self._sequence + 1) & 0x7FFFFFFF
        request = bytearray(message)
        struct.pack_into("=HI", request, _FLAGS_OFFSET, flags | NLM_F_REQUEST, sequence)
        self._socket.send(request)
        while True:
            for answer in self._receive(answers):
                if answer["header"]["sequence_number"] == sequence:
                    yield answer

    def _receive(self, answers: Answers) -> Iterator[Any]:
        return decoded(self._socket.recv(_LARGEST), answers)


class Events:
    """What happens to the links and addresses of the network namespace where it was opened. Not blocking."""

    def __init__(self, groups: int, answers: Answers) -> None:
        """groups: RTMGRP_* bits."""
        self._answers = answers
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.bind((0, groups))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> Iterator[Any | None]:
        """What has arrived, in order; None where the kernel dropped some."""
        while True:
            try:
                datagram = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield None
                continue
            yield from decoded(datagram, self._answers)

    def close(self) -> None:
        self._socket.close()


def _grow_receive_buffer(sock: socket.socket, size: int) -> None:
    """SO_RCVBUFFORCE passes net.core.rmem_max with CAP_NET_ADMIN; without, take what the limit gives."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
