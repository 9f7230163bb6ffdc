"""rtnetlink messages the data plane sends: routes, rules, proxy neighbours, addresses, links (linux/rtnetlink.h, fib_rules.h, neighbour.h).

Everything made here carries `PROTOCOL`, so a successor can tell our objects from others'.
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass
from typing import Final

from closedloop_nf.kernel import netlink as nl

PROTOCOL: Final = 75
"""Our routing protocol number (rtnetlink.h leaves the unnamed ones to users), after RFC 6275."""
TABLE_MAIN: Final = 254
TABLE_LOCAL: Final = 255
TABLE_DECAPSULATION: Final = 6275
"""Only packets with the tunnel mark look here."""
TABLE_TUNNEL: Final = 6276
"""Mobile node: traffic from the home address."""

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26
RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29
RTM_GETNEIGH: Final = 30
RTM_NEWRULE: Final = 32
RTM_DELRULE: Final = 33
RTM_GETRULE: Final = 34

RTN_UNICAST: Final = 1
RTN_LOCAL: Final = 2
RTN_UNREACHABLE: Final = 7

IFF_UP: Final = 0x1
IFF_LOWER_UP: Final = 0x10000

IFA_F_NODAD: Final = 0x02
IFA_F_OPTIMISTIC: Final = 0x04
IFA_F_DADFAILED: Final = 0x08
IFA_F_DEPRECATED: Final = 0x20
IFA_F_TENTATIVE: Final = 0x40
IFA_F_PERMANENT: Final = 0x80
IFA_F_NOPREFIXROUTE: Final = 0x200

_IFAPROT_KERNEL_RA = 2
_AF = int(socket.AF_INET6)
_RTMSG = struct.Struct("=BBBBBBBBI")
_NDMSG = struct.Struct("=BxxxiHBB")
_IFADDRMSG = struct.Struct("=BBBBI")
_IFINFOMSG = struct.Struct("=BxHiII")
_NTF_PROXY = 0x08
_NUD_PERMANENT = 0x80

_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_METRICS, _RTA_TABLE = 1, 4, 5, 6, 8, 15
_RTA_CACHEINFO, _RTA_ENCAP_TYPE, _RTA_ENCAP, _RTAX_MTU = 12, 21, 22, 2
_RTPROT_KERNEL, _RTPROT_RA = 2, 9
_NDA_DST, _NDA_PROTOCOL = 1, 12
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_PROTO = 1, 2, 8, 11
_FRA_SRC, _FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE, _FRA_FWMASK, _FRA_PROTOCOL = 2, 6, 10, 15, 16, 21
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU = 1, 3, 4


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """A lightweight tunnel attribute of a route: LWTUNNEL_ENCAP_* and its encoded attributes."""

    kind: int
    attributes: bytes


def route(
    flags: int,
    *,
    delete: bool = False,
    destination: bytes | None = None,
    table: int = TABLE_MAIN,
    kind: int = RTN_UNICAST,
    interface_index: int = 0,
    gateway: bytes | None = None,
    metric: int = 0,
    mtu: int = 0,
    encapsulation: Encapsulation | None = None,
) -> bytes:
    """RTM_NEWROUTE / RTM_DELROUTE for destination/128, or the default route where destination is None."""
    attributes = [nl.u32(_RTA_TABLE, table)]
    if destination is not None:
        attributes.append(nl.attribute(_RTA_DST, destination))
    if interface_index:
        attributes.append(nl.u32(_RTA_OIF, interface_index))
    if gateway is not None:
        attributes.append(nl.attribute(_RTA_GATEWAY, gateway))
    if metric:
        attributes.append(nl.u32(_RTA_PRIORITY, metric))
    if mtu:
        attributes.append(nl.nested(_RTA_METRICS, nl.u32(_RTAX_MTU, mtu)))
    if encapsulation is not None:
        attributes.append(nl.u16(_RTA_ENCAP_TYPE, encapsulation.kind))
        attributes.append(nl.nested(_RTA_ENCAP, encapsulation.attributes))
    length = 0 if destination is None else 128
    table_octet = table if table < 256 else 0
    # scope and type are zero in a deletion: they match whatever is there
    header = _RTMSG.pack(_AF, length, 0, 0, table_octet, PROTOCOL, 0, 0 if delete else kind, 0)
    return nl.message(RTM_DELROUTE if delete else RTM_NEWROUTE, flags, header + b"".join(attributes))


def proxy_neighbour(address: bytes, interface_index: int, *, delete: bool = False) -> bytes:
    """Answer neighbour solicitations for `address` on the interface."""
    body = _NDMSG.pack(_AF, interface_index, _NUD_PERMANENT, _NTF_PROXY, 0) + nl.attribute(_NDA_DST, address)
    if delete:
        return nl.message(RTM_DELNEIGH, 0, body)
    return nl.message(RTM_NEWNEIGH, nl.UPSERT, body + nl.u8(_NDA_PROTOCOL, PROTOCOL))


def address(value: bytes, prefix_length: int, interface_index: int, *, delete: bool = False, prefix_route: bool = True) -> bytes:
    """An address without duplicate address detection. prefix_route False: the kernel adds no on-link route."""
    flags = IFA_F_NODAD | (0 if prefix_route else IFA_F_NOPREFIXROUTE)
    body = _IFADDRMSG.pack(_AF, prefix_length, flags & 0xFF, 0, interface_index)
    body += nl.attribute(_IFA_LOCAL, value) + nl.attribute(_IFA_ADDRESS, value)
    if delete:
        return nl.message(RTM_DELADDR, 0, body)
    return nl.message(RTM_NEWADDR, nl.UPSERT, body + nl.u32(_IFA_FLAGS, flags) + nl.u8(_IFA_PROTO, PROTOCOL))


def rule(
    priority: int,
    table: int,
    *,
    delete: bool = False,
    fwmark: int = 0,
    source: bytes | None = None,
    protocol: int = PROTOCOL,
) -> bytes:
    """A routing rule: packets with the bit `fwmark` set, from `source`/128, or all, look into `table`."""
    attributes = [nl.u32(_FRA_PRIORITY, priority), nl.u32(_FRA_TABLE, table)]
    if fwmark:
        attributes += [nl.u32(_FRA_FWMARK, fwmark), nl.u32(_FRA_FWMASK, fwmark)]
    if source is not None:
        attributes.append(nl.attribute(_FRA_SRC, source))
    if not delete:
        attributes.append(nl.u8(_FRA_PROTOCOL, protocol))
    action_to_table = 1
    header = _RTMSG.pack(_AF, 0, 0 if source is None else 128, 0, table if table < 256 else 0, 0, 0, action_to_table, 0)
    return nl.message(
        RTM_DELRULE if delete else RTM_NEWRULE, 0 if delete else nl.NLM_F_CREATE | nl.NLM_F_EXCL, header + b"".join(attributes)
    )


# --- what the kernel answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """RTM_NEWLINK."""

    index: int
    name: str
    up: bool
    """Administratively up and with carrier."""
    mtu: int
    address: bytes


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """RTM_NEWADDR / RTM_DELADDR of an IPv6 address."""

    index: int
    address: bytes
    prefix_length: int
    flags: int
    protocol: int


@dataclass(frozen=True, slots=True)
class Rule:
    """RTM_NEWRULE."""

    priority: int
    table: int
    protocol: int
    fwmark: int
    source: bytes | None


@dataclass(frozen=True, slots=True)
class AdvertisedRoute:
    """A route made by a router advertisement: a default route (gateway set) or an on-link prefix (gateway None)."""

    index: int
    destination: bytes
    prefix_length: int
    gateway: bytes | None

    def covers(self, address: bytes) -> bool:
        shift = 128 - self.prefix_length
        return int.from_bytes(address, "big") >> shift == int.from_bytes(self.destination, "big") >> shift


def parse_link(payload: bytes) -> Link:
    _, _, index, flags, _ = _IFINFOMSG.unpack_from(payload)
    found = nl.parse_attributes(payload[16:])
    up = flags & IFF_UP != 0 and flags & IFF_LOWER_UP != 0
    mtu = int.from_bytes(found.get(_IFLA_MTU, b""), sys.byteorder)
    return Link(index, found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"), up, mtu, found.get(_IFLA_ADDRESS, b""))


def parse_address(payload: bytes) -> InterfaceAddress:
    _, prefix_length, flags, _, index = _IFADDRMSG.unpack_from(payload)
    found = nl.parse_attributes(payload[8:])
    value = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, bytes(16))
    if _IFA_FLAGS in found:
        flags = struct.unpack("=I", found[_IFA_FLAGS])[0]
    return InterfaceAddress(index, value, prefix_length, flags, found.get(_IFA_PROTO, b"\0")[0])


def made_by_slaac(found: InterfaceAddress) -> bool:
    """Whether the kernel made it from a router advertisement. Kernels before 5.18 do not say who made an address; there a finite lifetime
    tells."""
    return found.protocol == _IFAPROT_KERNEL_RA or (found.protocol == 0 and not found.flags & IFA_F_PERMANENT)


def parse_rule(payload: bytes) -> Rule:
    _, _, source_length, _, table, *_ = _RTMSG.unpack_from(payload)
    found = nl.parse_attributes(payload[12:])
    number = {key: struct.unpack("=I", found[key])[0] for key in (_FRA_PRIORITY, _FRA_TABLE, _FRA_FWMARK) if key in found}
    source = found.get(_FRA_SRC) if source_length == 128 else None
    return Rule(
        number.get(_FRA_PRIORITY, 0), number.get(_FRA_TABLE, table), found.get(_FRA_PROTOCOL, b"\0")[0], number.get(_FRA_FWMARK, 0), source
    )


def parse_advertised_route(payload: bytes) -> AdvertisedRoute | None:
    """A dumped RTM_NEWROUTE; None where no router advertisement made it.

    The kernel marks default routes with its protocol `ra`; on-link prefixes have `kernel` and, unlike those of manual addresses, an end.
    """
    _, prefix_length, _, _, table, protocol, _, kind, _ = _RTMSG.unpack_from(payload)
    if table != TABLE_MAIN or kind != RTN_UNICAST or protocol not in (_RTPROT_KERNEL, _RTPROT_RA):
        return None
    found = nl.parse_attributes(payload[12:])
    gateway = found.get(_RTA_GATEWAY)
    expires = struct.unpack_from("=i", found[_RTA_CACHEINFO], 8)[0] if _RTA_CACHEINFO in found else 0
    if (gateway is None or prefix_length) if protocol == _RTPROT_RA else (gateway is not None or not expires):
        return None
    index = struct.unpack("=I", found[_RTA_OIF])[0] if _RTA_OIF in found else 0
    return AdvertisedRoute(index, found.get(_RTA_DST, bytes(16)), prefix_length, gateway)


def route_owner_and_deletion(payload: bytes) -> tuple[int, bytes]:
    """(routing protocol, the message that deletes this route) of a dumped RTM_NEWROUTE."""
    protocol = payload[5]
    return protocol, nl.message(RTM_DELROUTE, 0, payload)


def neighbour_owner_and_deletion(payload: bytes) -> tuple[int, bytes]:
    """(protocol, deletion) of a dumped proxy neighbour."""
    protocol = nl.parse_attributes(payload[12:]).get(_NDA_PROTOCOL, b"\0")[0]
    return protocol, nl.message(RTM_DELNEIGH, 0, payload)


LINK_DUMP: Final = _IFINFOMSG.pack(0, 0, 0, 0, 0)
ADDRESS_DUMP: Final = _IFADDRMSG.pack(_AF, 0, 0, 0, 0)
ROUTE_DUMP: Final = _RTMSG.pack(_AF, 0, 0, 0, 0, 0, 0, 0, 0)
RULE_DUMP: Final = ROUTE_DUMP
PROXY_NEIGHBOUR_DUMP: Final = _NDMSG.pack(_AF, 0, 0, _NTF_PROXY, 0)
