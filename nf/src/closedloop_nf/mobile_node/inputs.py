"""What goes into the mobile node's core. Addresses are 16 octets; a shell feeds inputs in the order they happened."""

from __future__ import annotations

import msgspec

from closedloop_nf.runtime.addresses import Prefix


class LinkChanged(msgspec.Struct, frozen=True):
    """Carrier of a configured interface, once at the start and then at every change."""

    interface: str
    up: bool


class AddressChanged(msgspec.Struct, frozen=True):
    """A global address of an interface can be a source now (`usable`), or no longer.

    slaac: made from a router advertisement, so DropCareOfAddresses removes it; others stay where they are.
    valid_until: monotonic end of its valid lifetime, None where it has none.
    """

    interface: str
    address: bytes
    usable: bool
    slaac: bool = True
    valid_until: float | None = None


class RouterAdvertised(msgspec.Struct, frozen=True):
    """A Router Advertisement (RFC 4861 section 4.2 with RFC 6275 section 7's additions), already validated.

    router: link-local source address. lifetime_s: Router Lifetime, 0 for no default router.
    prefixes: those that can give a care-of address (autonomous) or tell the home link (on-link), valid lifetime above 0.
    interval_s: the Advertisement Interval option (section 7.3), None without it.
    """

    interface: str
    router: bytes
    lifetime_s: int
    prefixes: tuple[Prefix, ...]
    interval_s: float | None = None


class MobilityReceived(msgspec.Struct, frozen=True):
    """A Mobility Header message for this node, checksum verified. home_address: from a type 2 routing header, None without one."""

    source: bytes
    destination: bytes
    home_address: bytes | None
    payload: bytes


class Icmpv6Received(msgspec.Struct, frozen=True):
    """An ICMPv6 message for this node, checksum verified: DHAAD reply, Mobile Prefix Advertisement, or an error about a packet of ours.

    home_address: from a type 2 routing header, None without one.
    """

    source: bytes
    destination: bytes
    home_address: bytes | None
    payload: bytes


class Stop(msgspec.Struct, frozen=True):
    """Clean stop was asked for; answered by the action Stopped, at once or when the home agent knows."""


Input = LinkChanged | AddressChanged | RouterAdvertised | MobilityReceived | Icmpv6Received | Stop
