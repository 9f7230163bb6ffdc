"""What a data plane needs of a way to put IPv6 into IPv6; seg6.py and ip6tnl.py provide it."""

from __future__ import annotations

from typing import Protocol

from closedloop_nf.kernel.messages import Link


class Tunnel(Protocol):
    """One per data plane. Every method may raise KernelError."""

    @property
    def name(self) -> str:
        """`seg6` or `ip6tnl`."""

    @property
    def source_in_routes(self) -> bool:
        """True: `route` writes the tunnel source into the message, so routes are sent again when it changes."""

    @property
    def relays_too_big(self) -> bool:
        """True: the kernel itself tells the inner source of a Packet Too Big from inside the tunnel (RFC 2473 section 8.2)."""

    def reset(self) -> None:
        """Remove what a killed predecessor, of either data plane, left besides routes and rules."""

    def open(self) -> None:
        """Make devices and rules."""

    def decapsulate(self, address: bytes, interface: Link, inner_table: int) -> None:
        """Decapsulate permitted packets to `address` that arrive by `interface`; called again when that changes. Inner destinations are
        looked up in `inner_table` (a tunnel with a device of its own looks by the ordinary rules)."""

    def stop_decapsulating(self, address: bytes) -> None:
        """No longer at `address`; one that was never served is no error."""

    def set_source(self, address: bytes) -> None:
        """Outer source address of what is encapsulated from now on."""

    def route(self, destination: bytes | None, peer: bytes, interface: Link, *, table: int) -> bytes:
        """The rtnetlink message that routes destination/128 (None: everything) into the tunnel to `peer`, which is reached by `interface`.

        What is too big for the interface's MTU less 40 is answered by Packet Too Big.
        """

    def close(self) -> None:
        """Undo `open` and `set_source`."""
