"""Frames of the link: 4 octets of length (big endian), then one msgpack message of `messages.py`.

A frame of 0 octets or of more than MAX_FRAME octets is an error, as is anything msgspec refuses: one FramingError, after which the
connection is of no use (the position in the stream is lost).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

import msgspec

from closedloop_nf.link.messages import ToBackend, ToPacketProcessor

MAX_FRAME: Final = 4 * 1024 * 1024
"""Octets in a frame. A snapshot chunk of 1000 bindings is about 120 kB."""

M = TypeVar("M")


class FramingError(ValueError):
    """The peer's octets are no message of the link. The text holds no content of the message."""


class Encoder:
    """Messages to octets; many messages become one write. One instance per shell, reused."""

    def __init__(self) -> None:
        self._encode_into = msgspec.msgpack.Encoder().encode_into

    def encode(self, messages: Iterable[msgspec.Struct]) -> bytearray:
        """Frames of all messages, joined. Raises FramingError when one is larger than MAX_FRAME."""
        out = bytearray()
        for message in messages:
            start = len(out)
            out += b"\0\0\0\0"
            self._encode_into(message, out, start + 4)
            length = len(out) - start - 4
            if length > MAX_FRAME:
                raise FramingError(f"{type(message).__name__} of {length} octets exceeds {MAX_FRAME}; send it in parts")
            out[start : start + 4] = length.to_bytes(4, "big")
        return out


class Decoder(Generic[M]):
    """Octets of one connection to messages. Make it by `backend_decoder()` or `packet_processor_decoder()`."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[Any], max_frame: int = MAX_FRAME) -> None:
        self._decode = decoder.decode
        self._max_frame = max_frame
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> list[M]:
        """Take octets as they arrived; give back every message now complete. Raises FramingError; the decoder is then of no use.

        Messages complete before the bad one are lost with it: the session ends and the peer repeats what was not answered.
        """
        buffer = self._buffer
        buffer += data
        messages: list[M] = []
        end = len(buffer)
        position = 0
        with memoryview(buffer) as view:
            while end - position >= 4:
                length = int.from_bytes(view[position : position + 4], "big")
                if not 0 < length <= self._max_frame:
                    raise FramingError(f"frame of {length} octets; 1 to {self._max_frame} are allowed")
                stop = position + 4 + length
                if stop > end:
                    break
                try:
                    messages.append(self._decode(view[position + 4 : stop]))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise FramingError(f"frame of {length} octets is no message: {type(error).__name__}") from None
                position = stop
        if position:
            del buffer[:position]
        return messages

    @property
    def pending(self) -> int:
        """Octets of a frame not yet complete."""
        return len(self._buffer)


def backend_decoder(max_frame: int = MAX_FRAME) -> Decoder[ToBackend]:
    """Decoder of the HA-B's side."""
    return Decoder(msgspec.msgpack.Decoder(ToBackend), max_frame)


def packet_processor_decoder(max_frame: int = MAX_FRAME) -> Decoder[ToPacketProcessor]:
    """Decoder of the HA-PP's side."""
    return Decoder(msgspec.msgpack.Decoder(ToPacketProcessor), max_frame)
