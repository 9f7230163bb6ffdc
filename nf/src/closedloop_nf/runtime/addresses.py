"""Addresses at the edges: text in configuration, API and logs; 16 octets everywhere else."""

from __future__ import annotations

import socket
from typing import Final

UNSPECIFIED: Final = bytes(16)


def to_text(address: bytes) -> str:
    """RFC 5952 text of 16 octets; anything else comes back as its repr, so that a log line never fails."""
    if len(address) != 16:
        return repr(address)
    return socket.inet_ntop(socket.AF_INET6, address)


def from_text(text: str) -> bytes:
    """16 octets of an IPv6 address in text (no zone, no prefix length). Raises ValueError that names the remedy."""
    try:
        return socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        raise ValueError("not an IPv6 address; write it like 2001:db8::1, without zone or prefix length") from None


class Address(bytes):
    """16 octets that a configuration file writes as an IPv6 address."""

    def __str__(self) -> str:
        return to_text(self)


class Prefix:
    """An IPv6 prefix: 16 octets whose host part is zero, and a length 0..128."""

    __slots__ = ("address", "length")

    def __init__(self, address: bytes, length: int) -> None:
        if not 0 <= length <= 128:
            raise ValueError("prefix length outside 0..128; write a prefix like 2001:db8:1::/64")
        if int.from_bytes(address, "big") & ((1 << (128 - length)) - 1):
            raise ValueError("host bits set in a prefix; zero them, like 2001:db8:1::/64")
        self.address: Final = address
        self.length: Final = length

    @classmethod
    def from_text(cls, text: str) -> Prefix:
        """Parse `2001:db8:1::/64`. Raises ValueError that names the remedy."""
        address, slash, length = text.partition("/")
        if not slash or not length.isascii() or not length.isdigit():
            raise ValueError("not an IPv6 prefix; write it like 2001:db8:1::/64")
        return cls(from_text(address), int(length))

    def contains(self, address: bytes) -> bool:
        """Whether `address` (16 octets) lies in the prefix."""
        shift = 128 - self.length
        return int.from_bytes(address, "big") >> shift == int.from_bytes(self.address, "big") >> shift

    def pair(self) -> tuple[bytes, int]:
        """As the link protocol carries it."""
        return bytes(self.address), self.length

    def __str__(self) -> str:
        return f"{to_text(self.address)}/{self.length}"

    def __repr__(self) -> str:
        return f"Prefix({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prefix) and self.pair() == other.pair()

    def __hash__(self) -> int:
        return hash(self.pair())
