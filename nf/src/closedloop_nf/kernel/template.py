"""A netlink message encoded once and sent ten thousand times: only the addresses change."""

from __future__ import annotations


class Template:
    """A message encoded once, whose 16-octet addresses are replaced per use.

    It is made with the sentinel addresses in it; each must occur exactly once.
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
