"""What happens on the links of this namespace, as events: carrier, addresses, router advertisements. SLAAC itself is the kernel's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkState:
    """Carrier of an interface. `address` is its link-layer address."""

    interface: str
    index: int
    up: bool
    address: bytes


@dataclass(frozen=True, slots=True)
class AddressState:
    """A global or unique local address of an interface.

    usable: may be a source now (not tentative, or optimistic). removed: it is gone; `usable` is False then.
    """

    interface: str
    address: bytes
    prefix_length: int
    usable: bool
    deprecated: bool
    removed: bool
    slaac: bool
    """Made by the kernel from a router advertisement."""


@dataclass(frozen=True, slots=True)
class RouterAdvertisementSeen:
    """A router advertisement as received (hop limit 255 verified). `payload` begins at the ICMPv6 type, for wire.icmpv6.parse_icmpv6."""

    interface: str
    router: bytes
    payload: bytes


LinkEvent = LinkState | AddressState | RouterAdvertisementSeen


class LinkMonitor:
    """Watches the named interfaces. On `start` the present state comes first (LinkState, AddressState), then every change."""

    def __init__(self, interfaces: list[str], deliver: Callable[[LinkEvent], None]) -> None:
        """deliver: called in the event loop's thread, in the order of the kernel's messages."""
        raise NotImplementedError

    def start(self) -> None:
        """Register with the running event loop."""
        raise NotImplementedError

    def solicit_router(self, interface: str) -> None:
        """Send one Router Solicitation (RFC 4861 section 4.1) from the link-local address, or unspecified where there is none."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
