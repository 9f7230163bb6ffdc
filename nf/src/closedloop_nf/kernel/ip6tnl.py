"""IPv6-in-IPv6 by one collect-metadata `ip6tnl` device: each route carries its own tunnel end (`encap ip6 dst ... src ...`).

The device takes the outer header off whatever reaches any address of the namespace; the guards (guard.py, node_guard.py) drop what then
comes out of it without permission.
"""

from __future__ import annotations

import errno

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, rtnl  # type: ignore[import-untyped] # it has no type hints
from pyroute2.netlink.rtnl.rtmsg import LWTUNNEL_ENCAP_IP6  # type: ignore[import-untyped]

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.encapsulation import Encapsulation
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.guard import TUNNEL_DEVICE
from closedloop_nf.kernel.route_table import RouteTable

_HOP_LIMIT = 64
_OUTER_HEADER = 40

_IPV6_IN_IPV6 = 41
_IP6_TNL_F_IGN_ENCAP_LIMIT = 0x1
_ADDR_GEN_MODE_NONE = 1


def encapsulation(peer: bytes, source: bytes) -> Encapsulation:
    """Encapsulate from `source` to `peer` (`encap ip6 id 0 dst PEER src SOURCE hoplimit 64`)."""
    attributes = (
        ("LWTUNNEL_IP6_ID", 0),
        ("LWTUNNEL_IP6_DST", m.text(peer)),
        ("LWTUNNEL_IP6_SRC", m.text(source)),
        ("LWTUNNEL_IP6_HOPLIMIT", _HOP_LIMIT),
    )
    return Encapsulation(LWTUNNEL_ENCAP_IP6, attributes)


def device(name: str) -> bytes:
    """RTM_NEWLINK of the collect-metadata device: IPv6 in IPv6 only, no tunnel encapsulation limit option (RFC 2473 section 4.1.1)."""
    data = [
        ("IFLA_IP6TNL_COLLECT_METADATA", True),
        ("IFLA_IP6TNL_PROTO", _IPV6_IN_IPV6),
        ("IFLA_IP6TNL_FLAGS", _IP6_TNL_F_IGN_ENCAP_LIMIT),
    ]
    info = {"attrs": [("IFLA_INFO_KIND", "ip6tnl"), ("IFLA_INFO_DATA", {"attrs": data})]}
    return m.link(rtnl.RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ("IFLA_IFNAME", name), ("IFLA_LINKINFO", info))


def without_link_local(index: int) -> bytes:
    """RTM_NEWLINK before the device is up: no link-local address. Without one the kernel sends no Redirect to a mobile node whose packet
    goes back into the tunnel to another mobile node (RFC 4861 section 8.2 wants a link-local source)."""
    mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_MODE_NONE)]}
    return m.link(rtnl.RTM_NEWLINK, 0, ("IFLA_AF_SPEC", {"attrs": [("AF_INET6", mode)]}), index=index)


def raise_device(index: int, mtu: int) -> bytes:
    """RTM_NEWLINK that sets the MTU and brings the device up."""
    return m.link(rtnl.RTM_NEWLINK, 0, ("IFLA_MTU", mtu), index=index, up=True)


def delete_device(name: str) -> bytes:
    """RTM_DELLINK by name."""
    return m.link(rtnl.RTM_DELLINK, 0, ("IFLA_IFNAME", name))


def available(routes: RouteTable) -> bool:
    """Whether the kernel can make such a device here: by making one. A namespace has one at most, so a killed predecessor's counts too;
    where it is another program's, the answer is no."""
    probe = "cltunnelprobe"
    code = routes.netlink.request(
        "ip6tnl external device", device(probe), tolerate=(errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.EEXIST)
    )
    if code == errno.EEXIST:
        return routes.has_link(TUNNEL_DEVICE)
    if code == 0:
        routes.delete("ip6tnl probe device", delete_device(probe))
    return code == 0


def remove_device(routes: RouteTable) -> None:
    """Remove our device, whoever of us made it."""
    routes.delete(f"device {TUNNEL_DEVICE}", delete_device(TUNNEL_DEVICE))


class Ip6tnl:
    """Tunnel by a collect-metadata device (tunnel.Tunnel)."""

    name = "ip6tnl"
    source_in_routes = True
    relays_too_big = True

    def __init__(self, routes: RouteTable) -> None:
        self._routes = routes
        self._index = 0
        self._source = bytes(16)

    def reset(self) -> None:
        remove_device(self._routes)

    def open(self) -> None:
        try:
            # One that is there already would be a stranger's: ours went in `reset`.
            self._routes.netlink.request(f"device {TUNNEL_DEVICE}", device(TUNNEL_DEVICE))
        except KernelError as error:
            raise KernelError(error.errno or 0, _remedy(error)) from error
        self._index = self._routes.link(TUNNEL_DEVICE).index
        self._routes.add(f"device {TUNNEL_DEVICE} without link-local address", without_link_local(self._index))

    def decapsulate(self, address: bytes, interface: m.Link, inner_table: int) -> None:
        # The device decapsulates for every local address and its packets are routed by the ordinary rules; only its MTU follows the link.
        self._routes.add(f"device {TUNNEL_DEVICE} up", raise_device(self._index, interface.mtu - _OUTER_HEADER))

    def stop_decapsulating(self, address: bytes) -> None:
        # The guard drops what is tunnelled to any other address.
        pass

    def set_source(self, address: bytes) -> None:
        self._source = address

    def route(self, destination: bytes | None, peer: bytes, interface: m.Link, *, table: int) -> bytes:
        return m.route(
            m.UPSERT,
            destination=destination,
            table=table,
            interface_index=self._index,
            encapsulation=encapsulation(peer, self._source),
        )

    def close(self) -> None:
        self.reset()


def _remedy(error: KernelError) -> str:
    if error.errno == errno.EOPNOTSUPP:
        return "the kernel has no ip6tnl (CONFIG_IPV6_TUNNEL); set data_plane to seg6 or auto"
    if error.errno == errno.EEXIST:
        return "this network namespace has another external ip6tnl device and can have one only; remove it, or set data_plane to seg6"
    return error.strerror or str(error)
