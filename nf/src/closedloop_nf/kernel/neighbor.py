"""Neighbour discovery on the home link on behalf of others: duplicate address detection and announcements (RFC 6275 sections 10.3.1, 10.4.1)."""

from __future__ import annotations

from collections.abc import Iterable


class DuplicateAddressDetector:
    """Asks the home link whether anybody uses an address (RFC 4862 section 5.4); many questions at a time. Lives in a running event loop."""

    def __init__(self, interface: str, *, retrans_timer_s: float = 1.0, transmits: int = 1) -> None:
        raise NotImplementedError

    async def is_duplicate(self, address: bytes) -> bool:
        """True: somebody answered or is testing the same address. False after transmits * retrans_timer_s of silence."""
        raise NotImplementedError

    def close(self) -> None:
        """Questions still open are cancelled."""
        raise NotImplementedError


class Announcer:
    """Unsolicited neighbour advertisements with Override and this interface's link-layer address (RFC 6275 section 10.4.1)."""

    def __init__(self, interface: str) -> None:
        raise NotImplementedError

    def announce(self, addresses: Iterable[bytes], *, router: bool = False) -> None:
        """Send one advertisement per address to all nodes, batched. The caller repeats (MAX_NEIGHBOR_ADVERTISEMENT) if it wants.
        They leave only while the lease lives."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
