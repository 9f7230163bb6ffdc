"""What the mobile node's core wants done. The shell applies actions in the order given."""

from __future__ import annotations

import msgspec

from closedloop_nf.runtime.clock import Instant

EventFields = dict[str, str | int | float | bool | bytes | list[bytes] | None]
"""Of an event: numbers, our own words, addresses as 16 octets."""


class SendMobility(msgspec.Struct, frozen=True):
    """Send a Mobility Header message, checksum in place. home_address_option: goes into a Home Address option (RFC 6275 section 6.3)."""

    source: bytes
    destination: bytes
    home_address_option: bytes | None
    payload: bytes


class SendIcmpv6(msgspec.Struct, frozen=True):
    """Send an ICMPv6 message, checksum in place."""

    source: bytes
    destination: bytes
    home_address_option: bytes | None
    payload: bytes


class SolicitRouter(msgspec.Struct, frozen=True):
    """Send one Router Solicitation on the interface (RFC 4861 section 4.1)."""

    interface: str


class DropCareOfAddresses(msgspec.Struct, frozen=True):
    """The link that gave these addresses is gone: remove what SLAAC made of it on the interface, except `keep`, and its default routers
    except `router`."""

    interface: str
    keep: tuple[bytes, ...]
    router: bytes | None


class Expect(msgspec.Struct, frozen=True):
    """Accept tunnelled packets home agent -> care-of address beside the binding in force."""

    care_of_address: bytes
    home_agent: bytes
    interface: str


class Bind(msgspec.Struct, frozen=True):
    """The tunnel between care-of address and home agent carries the home address's traffic, both ways."""

    care_of_address: bytes
    home_agent: bytes
    interface: str


class Unbind(msgspec.Struct, frozen=True):
    """No tunnel."""


class AtHome(msgspec.Struct, frozen=True):
    """The home address sits on the interface of the home link."""

    interface: str
    router: bytes


class Away(msgspec.Struct, frozen=True):
    """The home address sits where no visited link sees it."""


class AnnounceHome(msgspec.Struct, frozen=True):
    """Unsolicited neighbour advertisement with Override for the home address (RFC 6275 section 11.5.5)."""

    interface: str


class Emit(msgspec.Struct, frozen=True):
    """One line of the event stream."""

    at: Instant
    event: str
    fields: EventFields = {}


class Stopped(msgspec.Struct, frozen=True):
    """Everything is said; the process may remove its routes and end."""


Action = (
    SendMobility | SendIcmpv6 | SolicitRouter | DropCareOfAddresses | Expect | Bind | Unbind | AtHome | Away | AnnounceHome | Emit | Stopped
)
