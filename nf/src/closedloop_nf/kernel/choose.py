"""Choose the data plane by what the kernel has."""

from __future__ import annotations

from typing import Literal

from closedloop_nf.kernel.interface import HomeAgentDataPlane, MobileNodeDataPlane

Kind = Literal["auto", "ip6tnl", "seg6"]


def choose_home_agent_data_plane(home_interface: str, uplink_interface: str, kind: Kind = "auto") -> HomeAgentDataPlane:
    """The home agent's data plane for this network namespace.

    `auto` takes `ip6tnl` where a collect-metadata ip6tnl device can be created, else `seg6`. Nothing is left behind by the test.
    Raises KernelError where the kernel has neither.
    """
    raise NotImplementedError


def choose_mobile_node_data_plane(kind: Kind = "auto") -> MobileNodeDataPlane:
    """The mobile node's data plane for this network namespace; see choose_home_agent_data_plane."""
    raise NotImplementedError
