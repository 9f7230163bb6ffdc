"""Fixtures of the kernel tests. They need root: namespaces, raw sockets, nftables.

What uses `data_plane`, itself or by another fixture, runs once per data plane that the kernel has.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from closedloop_nf.kernel.home_agent import KernelHomeAgent
from closedloop_nf.kernel.mobile_node import KernelMobileNode
from closedloop_nf.kernel.route_table import RouteTable

from tests.kernel.bed import CARE_OF, HOME_ADDRESS, HOME_AGENT, Bed, octets
from tests.kernel.planes import TUNNELS, data_planes, has_mip6

collect_ignore = [] if has_mip6() else ["test_mip6.py"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "data_plane" in metafunc.fixturenames:
        metafunc.parametrize("data_plane", data_planes())


@pytest.fixture
def bed() -> Iterator[Bed]:
    made = Bed()
    yield made
    made.close()


@pytest.fixture
def home_agent(bed: Bed, data_plane: str) -> Iterator[KernelHomeAgent]:
    """The data plane in `ha`, serving HOME_AGENT and the one binding, with a lease of a minute."""
    with bed.inside("ha"):
        routes = RouteTable()
        plane = KernelHomeAgent(TUNNELS[data_plane](routes), routes, "home", "region")
        plane.reset()
        plane.open()
        plane.set_home_agent_address(octets(HOME_AGENT), on_home_link=False)
        plane.install([(octets(HOME_ADDRESS), octets(CARE_OF))])
        plane.renew_lease(60)
    yield plane
    with bed.inside("ha"):
        plane.close()


@pytest.fixture
def mobile_node(bed: Bed, data_plane: str) -> Iterator[KernelMobileNode]:
    """The data plane in `mn`, away from home and bound at HOME_AGENT."""
    with bed.inside("mn"):
        routes = RouteTable()
        plane = KernelMobileNode(TUNNELS[data_plane](routes), routes)
        plane.reset()
        plane.open()
        plane.away(octets(HOME_ADDRESS))
        plane.bind(octets(HOME_ADDRESS), octets(CARE_OF), octets(HOME_AGENT), "visited")
    yield plane
    with bed.inside("mn"):
        plane.close()
