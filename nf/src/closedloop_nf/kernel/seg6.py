"""IPv6-in-IPv6 by segment routing's lightweight tunnels: for kernels without ip6tnl.

`encap.red` with one segment adds a plain IPv6 header, no routing header (RFC 8986 section 5.2 with one segment), so on the wire it is
RFC 2473 encapsulation. `End.DT6` takes it off (RFC 8986 section 4.6) and looks the inner destination up in a given table.
"""

from __future__ import annotations

import errno
import socket
import struct

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel import netlink as nl
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.guard import TUNNEL_MARK
from closedloop_nf.kernel.ip6tnl import remove_device
from closedloop_nf.kernel.netlink import Netlink
from closedloop_nf.kernel.route_table import RouteTable

_LWTUNNEL_SEG6 = 5
_LWTUNNEL_SEG6_LOCAL = 7
_SEG6_IPTUNNEL_SRH = 1
_MODE_ENCAP_RED = 3
_SEG6_LOCAL_ACTION, _SEG6_LOCAL_TABLE, _ACTION_END_DT6 = 1, 3, 7
_SRH = struct.Struct("=iBBBBBBH")

_HEADROOM = 64
"""What the kernel subtracts from such a route's MTU: the outer header and the SRH that `encap.red` then leaves out."""
_OUTER_HEADER = 40

_NETLINK_GENERIC = 16
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
_SEG6_CMD_SET_TUNSRC, _SEG6_ATTR_DST = 3, 1


def encapsulation(peer: bytes) -> m.Encapsulation:
    """Encapsulate to `peer`; the outer source is the namespace's (set_tunnel_source)."""
    header_length, type_srh = 2, 4
    srh = _SRH.pack(_MODE_ENCAP_RED, 0, header_length, type_srh, 0, 0, 0, 0) + peer
    return m.Encapsulation(_LWTUNNEL_SEG6, nl.attribute(_SEG6_IPTUNNEL_SRH, srh))


def decapsulation(table: int) -> m.Encapsulation:
    """Take the outer header off and look the inner destination up in `table`."""
    return m.Encapsulation(_LWTUNNEL_SEG6_LOCAL, nl.u32(_SEG6_LOCAL_ACTION, _ACTION_END_DT6) + nl.u32(_SEG6_LOCAL_TABLE, table))


def set_tunnel_source(address: bytes) -> None:
    """Outer source of everything this namespace encapsulates; the unspecified address gives the choice back to the kernel."""
    generic = Netlink(_NETLINK_GENERIC)
    try:
        control = struct.pack("=BBH", _CTRL_CMD_GETFAMILY, 1, 0) + nl.text(_CTRL_ATTR_FAMILY_NAME, "SEG6")
        answer = generic.ask(nl.message(_GENL_ID_CTRL, 0, control))
        if answer is None:
            raise KernelError(errno.EOPNOTSUPP, "the kernel has no segment routing (CONFIG_IPV6_SEG6_LWTUNNEL)")
        family = struct.unpack("=H", nl.parse_attributes(answer[1][4:])[_CTRL_ATTR_FAMILY_ID][:2])[0]
        body = struct.pack("=BBH", _SEG6_CMD_SET_TUNSRC, 1, 0) + nl.attribute(_SEG6_ATTR_DST, address)
        generic.request(f"seg6 tunnel source {socket.inet_ntop(socket.AF_INET6, address)}", nl.message(family, 0, body))
    finally:
        generic.close()


class Seg6:
    """Tunnel by seg6 lightweight tunnels (tunnel.Tunnel)."""

    name = "seg6"
    source_in_routes = False
    relays_too_big = False

    def __init__(self, routes: RouteTable) -> None:
        self._routes = routes

    def open(self) -> None:
        self._routes.insert_before_local(TUNNEL_MARK, m.TABLE_DECAPSULATION)

    def decapsulate(self, address: bytes, interface: m.Link, inner_table: int) -> None:
        # A route of this one address, not a default route: what has just been decapsulated and encapsulated again, on its way to another
        # mobile node, still carries the mark and must not be decapsulated once more.
        # It needs a real device (lo does not do) and goes when that goes down.
        self._routes.add(
            "decapsulation route",
            m.route(
                nl.UPSERT,
                destination=address,
                table=m.TABLE_DECAPSULATION,
                interface_index=interface.index,
                metric=1,
                encapsulation=decapsulation(inner_table),
            ),
        )

    def stop_decapsulating(self, address: bytes) -> None:
        self._routes.delete("decapsulation route", m.route(0, delete=True, destination=address, table=m.TABLE_DECAPSULATION))

    def set_source(self, address: bytes) -> None:
        set_tunnel_source(address)

    def route(self, destination: bytes | None, peer: bytes, interface: m.Link, *, table: int) -> bytes:
        # The metric makes the kernel's own answer to local senders right: link MTU less the 40 octets that are really added.
        # What is only forwarded is checked after encapsulation; too_big.py relays the Packet Too Big that results.
        mtu = interface.mtu - _OUTER_HEADER + _HEADROOM
        return m.route(
            nl.UPSERT,
            destination=destination,
            table=table,
            interface_index=interface.index,
            mtu=mtu,
            encapsulation=encapsulation(peer),
        )

    def close(self) -> None:
        set_tunnel_source(bytes(16))

    def reset(self) -> None:
        # Routes and rules go with RouteTable's clean-up, and the tunnel source is of no effect without them; but the predecessor may have
        # been configured for the other data plane.
        remove_device(self._routes)
