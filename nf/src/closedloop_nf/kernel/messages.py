"""rtnetlink messages the data plane sends and reads, by pyroute2: routes, rules, proxy neighbours, addresses, links.

Everything made here carries `PROTOCOL`, so a successor can tell our objects from others'.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, nlmsg, rtnl  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, IFA_F_NOPREFIXROUTE, IFA_F_PERMANENT, ifaddrmsg  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.ifinfmsg import IFF_LOWER_UP, IFF_UP, ifinfmsg  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.ndmsg import NTF_PROXY, NUD_PERMANENT, ndmsg  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # type: ignore[import-untyped]

from closedloop_nf.kernel.encapsulation import Encapsulation, encapsulating_rtmsg
from closedloop_nf.kernel.netlink import Dump, encoded

PROTOCOL: Final = 75
"""Our routing protocol number (rtnetlink.h leaves the unnamed ones to users), after RFC 6275."""
TABLE_MAIN: Final = 254
TABLE_LOCAL: Final = 255
TABLE_DECAPSULATION: Final = 6275
"""Only packets with the tunnel mark look here."""
TABLE_TUNNEL: Final = 6276
"""Mobile node: traffic from the home address."""

UPSERT: Final = NLM_F_CREATE | NLM_F_REPLACE

RTN_UNICAST: Final = rtnl.rt_type["unicast"]
RTN_LOCAL: Final = rtnl.rt_type["local"]
RTN_UNREACHABLE: Final = rtnl.rt_type["unreachable"]

_IFAPROT_KERNEL_RA = 2
_INFINITY_LIFE_TIME = 0xFFFFFFFF
_RTPROT_KERNEL, _RTPROT_RA = rtnl.rt_proto["kernel"], rtnl.rt_proto["ra"]
_AF = int(socket.AF_INET6)


def text(address: bytes) -> str:
    """As pyroute2 takes addresses."""
    return socket.inet_ntop(socket.AF_INET6, address)


def octets(address: str | None) -> bytes | None:
    """An address as pyroute2 gives it."""
    return None if address is None else socket.inet_pton(socket.AF_INET6, address)


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
    attributes: list[tuple[str, object]] = [("RTA_TABLE", table)]
    if destination is not None:
        attributes.append(("RTA_DST", text(destination)))
    if interface_index:
        attributes.append(("RTA_OIF", interface_index))
    if gateway is not None:
        attributes.append(("RTA_GATEWAY", text(gateway)))
    if metric:
        attributes.append(("RTA_PRIORITY", metric))
    if mtu:
        attributes.append(("RTA_METRICS", {"attrs": [("RTAX_MTU", mtu)]}))
    if encapsulation is not None:
        attributes += [("RTA_ENCAP_TYPE", encapsulation.kind), ("RTA_ENCAP", {"attrs": [*encapsulation.attributes]})]
    return encoded(
        encapsulating_rtmsg(),
        rtnl.RTM_DELROUTE if delete else rtnl.RTM_NEWROUTE,
        flags,
        attributes,
        family=_AF,
        dst_len=0 if destination is None else 128,
        table=_octet(table),
        proto=PROTOCOL,
        # scope and type are zero in a deletion: they match whatever is there
        type=0 if delete else kind,
    )


def proxy_neighbour(address: bytes, interface_index: int, *, delete: bool = False) -> bytes:
    """Answer neighbour solicitations for `address` on the interface."""
    attributes: list[tuple[str, object]] = [("NDA_DST", text(address))]
    if not delete:
        attributes.append(("NDA_PROTOCOL", PROTOCOL))
    kind, flags = (rtnl.RTM_DELNEIGH, 0) if delete else (rtnl.RTM_NEWNEIGH, UPSERT)
    return encoded(ndmsg(), kind, flags, attributes, family=_AF, ifindex=interface_index, state=NUD_PERMANENT, flags=NTF_PROXY)


def address(value: bytes, prefix_length: int, interface_index: int, *, delete: bool = False, prefix_route: bool = True) -> bytes:
    """An address without duplicate address detection. prefix_route False: the kernel adds no on-link route."""
    flags = IFA_F_NODAD | (0 if prefix_route else IFA_F_NOPREFIXROUTE)
    attributes: list[tuple[str, object]] = [("IFA_LOCAL", text(value)), ("IFA_ADDRESS", text(value))]
    if not delete:
        attributes += [("IFA_FLAGS", flags), ("IFA_PROTO", PROTOCOL)]
    kind, how = (rtnl.RTM_DELADDR, 0) if delete else (rtnl.RTM_NEWADDR, UPSERT)
    return encoded(ifaddrmsg(), kind, how, attributes, family=_AF, prefixlen=prefix_length, flags=flags & 0xFF, index=interface_index)


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
    attributes: list[tuple[str, object]] = [("FRA_PRIORITY", priority), ("FRA_TABLE", table)]
    if fwmark:
        attributes += [("FRA_FWMARK", fwmark), ("FRA_FWMASK", fwmark)]
    if source is not None:
        attributes.append(("FRA_SRC", text(source)))
    if not delete:
        attributes.append(("FRA_PROTOCOL", protocol))
    kind, flags = (rtnl.RTM_DELRULE, 0) if delete else (rtnl.RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL)
    source_length = 0 if source is None else 128
    return encoded(fibmsg(), kind, flags, attributes, family=_AF, src_len=source_length, table=_octet(table), action=FR_ACT_TO_TBL)


def link(kind: int, flags: int = 0, *attributes: tuple[str, object], index: int = 0, up: bool = False) -> bytes:
    """RTM_NEWLINK / RTM_DELLINK. up: bring it up too."""
    state = {"flags": IFF_UP, "change": IFF_UP} if up else {}
    return encoded(ifinfmsg(), kind, flags, attributes, index=index, **state)


def _octet(table: int) -> int:
    """The header's field; a larger number is an attribute only."""
    return table if table < 256 else 0


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
    valid_s: int | None = None
    """Of its valid lifetime this was left, whole seconds and no less than it is; None: it has no end."""


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


def read_link(message: Any) -> Link:
    up = message["flags"] & IFF_UP != 0 and message["flags"] & IFF_LOWER_UP != 0
    link_layer = (message.get_attr("IFLA_ADDRESS") or "").replace(":", "")
    return Link(message["index"], message.get_attr("IFLA_IFNAME", ""), up, message.get_attr("IFLA_MTU", 0), bytes.fromhex(link_layer))


def read_address(message: Any) -> InterfaceAddress:
    value = octets(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS", "::"))
    flags = message.get_attr("IFA_FLAGS", message["flags"])
    lifetimes = message.get_attr("IFA_CACHEINFO")
    valid_s = None if lifetimes is None or lifetimes["ifa_valid"] == _INFINITY_LIFE_TIME else lifetimes["ifa_valid"]
    protocol = message.get_attr("IFA_PROTO", 0)
    return InterfaceAddress(message["index"], value or bytes(16), message["prefixlen"], flags, protocol, valid_s)


def made_by_slaac(found: InterfaceAddress) -> bool:
    """Whether the kernel made it from a router advertisement. Kernels before 5.18 do not say who made an address; there a finite lifetime
    tells."""
    return found.protocol == _IFAPROT_KERNEL_RA or (found.protocol == 0 and not found.flags & IFA_F_PERMANENT)


def read_rule(message: Any) -> Rule:
    return Rule(
        message.get_attr("FRA_PRIORITY", 0),
        message.get_attr("FRA_TABLE", message["table"]),
        message.get_attr("FRA_PROTOCOL", 0),
        message.get_attr("FRA_FWMARK", 0),
        octets(message.get_attr("FRA_SRC")) if message["src_len"] == 128 else None,
    )


def read_advertised_route(message: Any) -> AdvertisedRoute | None:
    """A dumped RTM_NEWROUTE; None where no router advertisement made it.

    The kernel marks default routes with its protocol `ra`; on-link prefixes have `kernel` and, unlike those of manual addresses, an end.
    """
    protocol, prefix_length = message["proto"], message["dst_len"]
    if message["table"] != TABLE_MAIN or message["type"] != RTN_UNICAST or protocol not in (_RTPROT_KERNEL, _RTPROT_RA):
        return None
    gateway = octets(message.get_attr("RTA_GATEWAY"))
    cache = message.get_attr("RTA_CACHEINFO")
    expires = 0 if cache is None else cache["rta_expires"]
    if (gateway is None or prefix_length) if protocol == _RTPROT_RA else (gateway is not None or not expires):
        return None
    return AdvertisedRoute(message.get_attr("RTA_OIF", 0), octets(message.get_attr("RTA_DST")) or bytes(16), prefix_length, gateway)


class _RouteHeader(nlmsg):  # type: ignore[misc] # pyroute2 has no type hints
    """A route of which only the header is read: there may be ten thousand with a tunnel each."""

    fields = rtmsg.fields


def deletion(message: Any, kind: int) -> bytes:
    """The request that deletes exactly what a dump answered: the same message with a type of RTM_DEL*."""
    start, length = message.offset, message["header"]["length"]
    request = bytearray(message.data[start : start + length])
    type_offset = 4
    struct.pack_into("=HH", request, type_offset, kind, NLM_F_REQUEST)
    return bytes(request)


LINKS: Final = {rtnl.RTM_NEWLINK: ifinfmsg, rtnl.RTM_DELLINK: ifinfmsg}
ADDRESSES: Final = {rtnl.RTM_NEWADDR: ifaddrmsg, rtnl.RTM_DELADDR: ifaddrmsg}

LINK_DUMP: Final = Dump(encoded(ifinfmsg(), rtnl.RTM_GETLINK), LINKS)
ADDRESS_DUMP: Final = Dump(encoded(ifaddrmsg(), rtnl.RTM_GETADDR, family=_AF), ADDRESSES)
ROUTE_DUMP: Final = Dump(encoded(rtmsg(), rtnl.RTM_GETROUTE, family=_AF), {rtnl.RTM_NEWROUTE: rtmsg})
ROUTE_HEADER_DUMP: Final = Dump(ROUTE_DUMP.request, {rtnl.RTM_NEWROUTE: _RouteHeader})
RULE_DUMP: Final = Dump(encoded(fibmsg(), rtnl.RTM_GETRULE, family=_AF), {rtnl.RTM_NEWRULE: fibmsg})
PROXY_NEIGHBOUR_DUMP: Final = Dump(encoded(ndmsg(), rtnl.RTM_GETNEIGH, family=_AF, flags=NTF_PROXY), {rtnl.RTM_NEWNEIGH: ndmsg})
