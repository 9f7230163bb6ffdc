"""IPv6-in-IPv6 by one collect-metadata `ip6tnl` device: each route carries its own tunnel end (`encap ip6 dst ... src ...`)."""

from __future__ import annotations

import errno
import struct

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel import netlink as nl
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.route_table import RouteTable

DEVICE = "cltunnel"

_LWTUNNEL_IP6 = 4
_LWTUNNEL_IP6_ID, _LWTUNNEL_IP6_DST, _LWTUNNEL_IP6_SRC, _LWTUNNEL_IP6_HOPLIMIT = 1, 2, 3, 4
_HOP_LIMIT = 64
_OUTER_HEADER = 40

_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO = 3, 4, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_IPTUN_FLAGS, _IFLA_IPTUN_PROTO, _IFLA_IPTUN_COLLECT_METADATA = 8, 9, 19
_IP6_TNL_F_IGN_ENCAP_LIMIT = 0x1
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


def raise_device(index: int, mtu: int) -> bytes:
    """RTM_NEWLINK that sets the MTU and brings the device up."""
    return nl.message(m.RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, m.IFF_UP, m.IFF_UP) + nl.u32(_IFLA_MTU, mtu))


def delete_device(name: str) -> bytes:
    """RTM_DELLINK by name."""
    return nl.message(m.RTM_DELLINK, 0, _IFINFOMSG.pack(0, 0, 0, 0, 0) + nl.text(_IFLA_IFNAME, name))


def available(routes: RouteTable) -> bool:
    """Whether the kernel can make such a device here: by making one."""
    probe = "cltunnelprobe"
    code = routes.netlink.request(
        "ip6tnl external device", device(probe), tolerate=(errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.EEXIST)
    )
    routes.delete("ip6tnl probe device", delete_device(probe))
    return code == 0


class Ip6tnl:
    """Tunnel by a collect-metadata device (tunnel.Tunnel)."""

    name = "ip6tnl"
    decapsulates_unasked = True
    source_in_routes = True

    def __init__(self, routes: RouteTable) -> None:
        self._routes = routes
        self._index = 0
        self._source = bytes(16)

    def reset(self) -> None:
        self._routes.delete(f"device {DEVICE}", delete_device(DEVICE))

    def open(self) -> None:
        try:
            self._routes.add(f"device {DEVICE}", device(DEVICE))
        except KernelError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            raise KernelError(errno.EOPNOTSUPP, "the kernel has no ip6tnl (CONFIG_IPV6_TUNNEL); set data_plane to seg6 or auto") from error
        self._index = self._routes.link(DEVICE).index

    def decapsulate(self, address: bytes, interface: m.Link, inner_table: int) -> None:
        # The device decapsulates for every local address and its packets are routed by the ordinary rules; only its MTU follows the link.
        self._routes.add(f"device {DEVICE} up", raise_device(self._index, interface.mtu - _OUTER_HEADER))

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
