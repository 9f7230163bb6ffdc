"""What goes into the HA-PP core and what comes out of it.

Addresses are 16 octets. A shell feeds inputs in the order they happened and applies actions in the order given.
"""

from __future__ import annotations

import msgspec

from closedloop_nf.link.messages import NodeRate, ToBackend, ToPacketProcessor

# --- inputs ----------------------------------------------------------------------------------------------------------


class MobilityReceived(msgspec.Struct, frozen=True, gc=False):
    """A Mobility Header message for an address of this node; payload begins at the Mobility Header."""

    source: bytes
    destination: bytes
    home_address: bytes | None
    """From the Home Address option (RFC 6275 section 6.3); None where there was none."""
    payload: bytes


class HomeAddressOptionReceived(msgspec.Struct, frozen=True, gc=False):
    """A packet that is not a Mobility Header message came with a Home Address option."""

    source: bytes
    destination: bytes
    home_address: bytes


class Icmpv6Received(msgspec.Struct, frozen=True, gc=False):
    """An ICMPv6 message of types 144 (DHAAD request) or 146 (mobile prefix solicitation); checksum verified."""

    source: bytes
    destination: bytes
    home_address: bytes | None
    payload: bytes


class LinkConnected(msgspec.Struct, frozen=True, gc=False):
    """The transport to HA-B stands (TLS done, nothing said yet)."""


class LinkMessage(msgspec.Struct, frozen=True, gc=False):
    message: ToPacketProcessor


class LinkClosed(msgspec.Struct, frozen=True, gc=False):
    """The transport to HA-B is gone, or could not be made."""


class DadDone(msgspec.Struct, frozen=True, gc=False):
    """Duplicate address detection on the home link ended."""

    address: bytes
    unique: bool


class SocketState(msgspec.Struct, frozen=True, gc=False):
    """The raw Mobility Header socket opened or closed."""

    open: bool


class TrafficMeasured(msgspec.Struct, frozen=True, gc=False):
    """The rates of an interval, of the mobile nodes that had traffic."""

    rows: list[NodeRate]


class Stop(msgspec.Struct, frozen=True, gc=False):
    """Clean stop was asked for."""


Input = (
    MobilityReceived
    | HomeAddressOptionReceived
    | Icmpv6Received
    | LinkConnected
    | LinkMessage
    | LinkClosed
    | DadDone
    | SocketState
    | TrafficMeasured
    | Stop
)

# --- actions ---------------------------------------------------------------------------------------------------------


class Connect(msgspec.Struct, frozen=True, gc=False):
    """Dial HA-B; answer with LinkConnected or LinkClosed."""


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """Close the transport to HA-B; answer with LinkClosed."""


class SendLink(msgspec.Struct, frozen=True, gc=False):
    message: ToBackend


class SendMobility(msgspec.Struct, frozen=True, gc=False):
    """Send a Mobility Header message, checksum already in it.

    With routing_home_address the packet carries a type 2 routing header (RFC 6275 section 6.4), with tunnel it goes inside another one to
    that care-of address.
    """

    source: bytes
    destination: bytes
    routing_home_address: bytes | None
    payload: bytes
    tunnel: bytes | None = None


class SendIcmpv6(msgspec.Struct, frozen=True, gc=False):
    source: bytes
    destination: bytes
    routing_home_address: bytes | None
    payload: bytes


class Install(msgspec.Struct, frozen=True, gc=False):
    """Tunnel, permission and proxy neighbour entry for (home address, care-of address) pairs; replaces what a home address had."""

    rows: list[tuple[bytes, bytes]]


class Defend(msgspec.Struct, frozen=True, gc=False):
    """Answer neighbour solicitations for these addresses on the home link, without a tunnel (the L bit's link-local addresses)."""

    addresses: list[bytes]


class Remove(msgspec.Struct, frozen=True, gc=False):
    """End what Install or Defend began for these addresses."""

    home_addresses: list[bytes]


class Linger(msgspec.Struct, frozen=True, gc=False):
    """Answer no neighbour solicitation for these any more; go on forwarding what still comes, both ways, until Remove or Install."""

    home_addresses: list[bytes]


class RenewLease(msgspec.Struct, frozen=True, gc=False):
    """The kernel forwards until this monotonic time and no longer."""

    until: float


class RevokeLease(msgspec.Struct, frozen=True, gc=False):
    """The kernel stops forwarding now."""


class TakeAddress(msgspec.Struct, frozen=True, gc=False):
    """Assign the home agent address. on_home_link tells the moving (`shared`) address from the instance's own."""

    address: bytes
    on_home_link: bool


class AnswerAnycast(msgspec.Struct, frozen=True, gc=False):
    """Be reachable at exactly these Mobile IPv6 Home-Agents anycast addresses (RFC 6275 section 10.5), no others."""

    addresses: list[bytes]


class DropAddress(msgspec.Struct, frozen=True, gc=False):
    address: bytes


class Announce(msgspec.Struct, frozen=True, gc=False):
    """Unsolicited neighbour advertisements on the home link (RFC 6275 section 10.4.1)."""

    addresses: list[bytes]


class StartDad(msgspec.Struct, frozen=True, gc=False):
    """Duplicate address detection for a home address on the home link; answer with DadDone."""

    address: bytes


class Log(msgspec.Struct, frozen=True, gc=False):
    """An event worth a line; fields are numbers, our own words or addresses. The names of a logging.LogRecord's own are taken: `message`,
    `name`, `args`, `module`, `process` ..."""

    event: str
    fields: dict[str, str | int | float | bool | bytes] = {}


class Finished(msgspec.Struct, frozen=True, gc=False):
    """Nothing is served any more and HA-B has been told; the process may end."""


Action = (
    Connect
    | Disconnect
    | SendLink
    | SendMobility
    | SendIcmpv6
    | Install
    | Defend
    | Remove
    | Linger
    | RenewLease
    | RevokeLease
    | TakeAddress
    | AnswerAnycast
    | DropAddress
    | Announce
    | StartDad
    | Log
    | Finished
)
