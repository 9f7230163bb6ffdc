"""IPv6-in-IPv6 by one collect-metadata `ip6tnl` device: each route carries its own tunnel end (`encap ip6 dst ... src ...`).

The device takes the outer header off whatever reaches any address of the namespace; the guards (guard.py, node_guard.py) drop what then
comes out of it without permission.
"""

from __future__ import annotations

import errno
import struct

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel import netlink as nl
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.guard import TUNNEL_DEVICE
from closedloop_nf.kernel.route_table import RouteTable

_LWTUNNEL_IP6 = 4
_LWTUNNEL_IP6_ID, _LWTUNNEL_IP6_DST, _LWTUNNEL_IP6_SRC, _LWTUNNEL_IP6_HOPLIMIT = 1, 2, 3, 4
_HOP_LIMIT = 64
_OUTER_HEADER = 40

_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_AF_SPEC = 3, 4, 18, 26
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_IPTUN_FLAGS, _IFLA_IPTUN_PROTO, _IFLA_IPTUN_COLLECT_METADATA = 8, 9, 19
_IP6_TNL_F_IGN_ENCAP_LIMIT = 0x1
_AF_INET6, _IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_MODE_NONE = 10, 8, 1
_IFINFOMSG = struct.Struct("=BxHiII")


def encapsulation(peer: bytes, source: bytes) -> m.Encapsulation:
    """Encapsulate from `source` to `peer` (`encap ip6 id 0 dst PEER src SOURCE hoplimit 64`)."""
    attributes = (
        nl.attribute(_LWTUNNEL_IP6_ID, bytes(8)),
        nl.attribute(_LWTUNNEL_IP6_DST, peer),
        nl.attribute(_LWTUNNEL_IP6_SRC, source),
        nl.u8(_LWTUNNEL_IP6_HOPLIMIT, _HOP_LIMIT),
    )
    return m.Encapsulation(_LWTUNNEL_IP6, b"".join(attributes))


def device(name: str) -> bytes:
    """RTM_NEWLINK of the collect-metadata device: IPv6 in IPv6 only, no tunnel encapsulation limit option (RFC 2473 section 4.1.1)."""
    data = (
        nl.attribute(_IFLA_IPTUN_COLLECT_METADATA, b""),
        nl.u8(_IFLA_IPTUN_PROTO, 41),
        nl.u32(_IFLA_IPTUN_FLAGS, _IP6_TNL_F_IGN_ENCAP_LIMIT),
    )
    info = nl.nested(_IFLA_LINKINFO, nl.text(_IFLA_INFO_KIND, "ip6tnl"), nl.nested(_IFLA_INFO_DATA, *data))
    body = _IFINFOMSG.pack(0, 0, 0, 0, 0) + nl.text(_IFLA_IFNAME, name) + info
    return nl.message(m.RTM_NEWLINK, nl.NLM_F_CREATE | nl.NLM_F_EXCL, body)


def without_link_local(index: int) -> bytes:
    """RTM_NEWLINK before the device is up: no link-local address. Without one the kernel sends no Redirect to a mobile node whose packet
    goes back into the tunnel to another mobile node (RFC 4861 section 8.2 wants a link-local source)."""
    mode = nl.u8(_IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_MODE_NONE)
    return nl.message(m.RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, 0, 0) + nl.nested(_IFLA_AF_SPEC, nl.nested(_AF_INET6, mode)))


def raise_device(index: int, mtu: int) -> bytes:
    """RTM_NEWLINK that sets the MTU and brings the device up."""
    return nl.message(m.RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, m.IFF_UP, m.IFF_UP) + nl.u32(_IFLA_MTU, mtu))


def delete_device(name: str) -> bytes:
    """RTM_DELLINK by name."""
    return nl.message(m.RTM_DELLINK, 0, _IFINFOMSG.pack(0, 0, 0, 0, 0) + nl.text(_IFLA_IFNAME, name))


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
            nl.UPSERT,
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
