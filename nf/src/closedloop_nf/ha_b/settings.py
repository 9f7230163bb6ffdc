"""What the core needs to know of its configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LEASE_MARGIN_S: Final = 0.05
"""A lease counts as ended this long after its computed end: the HA-PP's kernel cuts it off with the granularity of its timer."""
HELLO_TIMEOUT_S: Final = 5.0
"""A connection that has not said Hello by then is closed."""
RELINQUISH_TIMEOUT_S: Final = 5.0
"""An HA-PP that has not relinquished by then loses its session, and with it its lease."""
DRAIN_REPEAT_S: Final = 2.0
"""Interval at which mobile nodes still bound to a draining HA-PP are asked again to move."""
TOMBSTONE_S: Final = 7200
"""How long a removed binding's last sequence and timestamp are kept, so that a recorded Binding Update cannot bring it back. Longer than
twice the tolerance an HA-PP may allow a timestamp (RFC 4285 section 6), one hour."""
RATES_VALID_S: Final = 3.0
"""How long the last report of mobile nodes' rates counts; HA-PPs report every second."""
CHUNK_ROWS: Final = 1000
"""Rows in one message of a snapshot or of a bulk push."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Parameters of the core. Addresses are 16 octets, prefixes (16 octets, length)."""

    home_prefixes: tuple[tuple[bytes, int], ...]
    address_mode: str = "per_instance"
    """`per_instance` or `shared` (docs/architecture.md)."""
    shared_address: bytes = b""
    token: bytes = field(default=b"", repr=False)
    """Shared secret of HA-PPs that present no certificate; empty: only certificates."""
    beat_ms: int = 100
    missed_beats: int = 3
    lease_ms: int = 2000
    max_lifetime_s: int = 3600
    home_agent_lifetime_s: int = 1800
    """Lifetime of an entry of the home agents list."""

    @property
    def shared(self) -> bool:
        return self.address_mode == "shared"

    def in_home_prefix(self, address: bytes) -> bool:
        """Whether the address belongs to a home prefix served here."""
        number = int.from_bytes(address, "big")
        return any(number >> (128 - length) == int.from_bytes(prefix, "big") >> (128 - length) for prefix, length in self.home_prefixes)
