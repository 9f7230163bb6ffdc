"""IPv6-in-IPv6 by segment routing's lightweight tunnels: for kernels without ip6tnl.

`encap.red` with one segment adds a plain IPv6 header, no routing header (RFC 8986 section 5.2 with one segment), so on the wire it is
RFC 2473 encapsulation. `End.DT6` takes it off (RFC 8986 section 4.6) and looks the inner destination up in a given table.
"""

from __future__ import annotations

import errno

from pyroute2.netlink import (  # type: ignore[import-untyped] # it has no type hints
    CTRL_CMD_GETFAMILY,
    GENL_ID_CTRL,
    NETLINK_GENERIC,
    ctrlmsg,
    genlmsg,
)
from pyroute2.netlink.rtnl.rtmsg import LWTUNNEL_ENCAP_SEG6, LWTUNNEL_ENCAP_SEG6_LOCAL  # type: ignore[import-untyped]

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.encapsulation import SEG6_MODE_REDUCED, Encapsulation
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.guard import TUNNEL_MARK
from closedloop_nf.kernel.ip6tnl import remove_device
from closedloop_nf.kernel.netlink import Netlink, encoded
from closedloop_nf.kernel.route_table import RouteTable

_HEADROOM = 64
"""What the kernel subtracts from such a route's MTU: the outer header and the SRH that `encap.red` then leaves out."""
_OUTER_HEADER = 40


class _Seg6Command(genlmsg):  # type: ignore[misc]
    """linux/seg6_genl.h."""

    nla_map = (("SEG6_ATTR_UNSPEC", "none"), ("SEG6_ATTR_DST", "ip6addr"))
    set_tunnel_source = 3


def encapsulation(peer: bytes) -> Encapsulation:
    """Encapsulate to `peer`; the outer source is the namespace's (set_tunnel_source)."""
    header = {"mode": SEG6_MODE_REDUCED, "segs": [m.text(peer)]}
    return Encapsulation(LWTUNNEL_ENCAP_SEG6, (("SEG6_IPTUNNEL_SRH", header),))


def decapsulation(table: int) -> Encapsulation:
    """Take the outer header off and look the inner destination up in `table`."""
    return Encapsulation(LWTUNNEL_ENCAP_SEG6_LOCAL, (("SEG6_LOCAL_ACTION", "End.DT6"), ("SEG6_LOCAL_TABLE", table)))


def set_tunnel_source(address: bytes) -> None:
    """Outer source of everything this namespace encapsulates; the unspecified address gives the choice back to the kernel."""
    generic = Netlink(NETLINK_GENERIC)
    try:
        question = encoded(ctrlmsg(), GENL_ID_CTRL, 0, [("CTRL_ATTR_FAMILY_NAME", "SEG6")], cmd=CTRL_CMD_GETFAMILY, version=1)
        answer = generic.ask(question, {GENL_ID_CTRL: ctrlmsg})
        if answer is None:
            raise KernelError(errno.EOPNOTSUPP, "the kernel has no segment routing (CONFIG_IPV6_SEG6_LWTUNNEL)")
        family, text = answer.get_attr("CTRL_ATTR_FAMILY_ID"), m.text(address)
        command = encoded(_Seg6Command(), family, 0, [("SEG6_ATTR_DST", text)], cmd=_Seg6Command.set_tunnel_source, version=1)
        generic.request(f"seg6 tunnel source {text}", command)
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
                m.UPSERT,
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
            m.UPSERT,
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
