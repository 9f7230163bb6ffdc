"""Choose the data plane by what the kernel has."""

from __future__ import annotations

from typing import Literal

from closedloop_nf.kernel import ip6tnl
from closedloop_nf.kernel.home_agent import KernelHomeAgent
from closedloop_nf.kernel.interface import HomeAgentDataPlane, MobileNodeDataPlane
from closedloop_nf.kernel.mobile_node import KernelMobileNode
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.seg6 import Seg6
from closedloop_nf.kernel.tunnel import Tunnel

Kind = Literal["auto", "ip6tnl", "seg6"]


def choose_home_agent_data_plane(home_interface: str, uplink_interface: str, kind: Kind = "auto") -> HomeAgentDataPlane:
    """The home agent's data plane for this network namespace.

    `auto` takes `ip6tnl` where a collect-metadata ip6tnl device can be created, else `seg6`. Nothing is left behind by the test.
    Raises KernelError where that needs a capability the process lacks; a kernel with neither says so in `open`.
    """
    routes = RouteTable()
    return KernelHomeAgent(_tunnel(kind, routes), routes, home_interface, uplink_interface)


def choose_mobile_node_data_plane(kind: Kind = "auto") -> MobileNodeDataPlane:
    """The mobile node's data plane for this network namespace; see choose_home_agent_data_plane."""
    routes = RouteTable()
    return KernelMobileNode(_tunnel(kind, routes), routes)


def _tunnel(kind: Kind, routes: RouteTable) -> Tunnel:
    if kind == "ip6tnl" or (kind == "auto" and ip6tnl.available(routes)):
        return ip6tnl.Ip6tnl(routes)
    return Seg6(routes)
