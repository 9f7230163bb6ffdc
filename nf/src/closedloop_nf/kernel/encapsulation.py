"""Routes into tunnels: pyroute2's route message with the two encapsulations that it lacks (linux/seg6_iptunnel.h, linux/lwtunnel.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyroute2.netlink import nla  # type: ignore[import-untyped] # it has no type hints
from pyroute2.netlink.rtnl.rtmsg import LWTUNNEL_ENCAP_IP6, LWTUNNEL_ENCAP_SEG6, rtmsg  # type: ignore[import-untyped]

SEG6_MODE_REDUCED: Final = "encap.red"


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """A lightweight tunnel of a route: LWTUNNEL_ENCAP_* and pyroute2's attributes of it."""

    kind: int
    attributes: tuple[tuple[str, object], ...]


class _Seg6(nla):  # type: ignore[misc]
    """Segment routing, in the mode that pyroute2 has no name for."""

    nla_map = rtmsg.seg6_encap_info.nla_map

    class ipv6_sr_hdr(rtmsg.seg6_encap_info.ipv6_sr_hdr):  # type: ignore[misc]
        encapmodes: Final = {SEG6_MODE_REDUCED: 3}
        r_encapmodes: Final = {3: SEG6_MODE_REDUCED}


class _Ip6(nla):  # type: ignore[misc]
    """The ends of an ip6tnl tunnel."""

    nla_map = (
        ("LWTUNNEL_IP6_UNSPEC", "none"),
        ("LWTUNNEL_IP6_ID", "be64"),
        ("LWTUNNEL_IP6_DST", "ip6addr"),
        ("LWTUNNEL_IP6_SRC", "ip6addr"),
        ("LWTUNNEL_IP6_HOPLIMIT", "uint8"),
    )


class encapsulating_rtmsg(rtmsg):  # type: ignore[misc]
    """RTM_NEWROUTE / RTM_DELROUTE."""

    encaps: Final = {**rtmsg.encaps, LWTUNNEL_ENCAP_SEG6: _Seg6, LWTUNNEL_ENCAP_IP6: _Ip6}
