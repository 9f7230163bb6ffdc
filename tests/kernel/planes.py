"""Which data planes the kernel at hand has. Tests run over these; that every one is met by some kernel is what the stage `uml` is for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from closedloop_nf.kernel import ip6tnl, seg6
from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.ip6tnl import Ip6tnl
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.seg6 import Seg6

from tests.kernel.bed import entered, octets, run

TUNNELS: dict[str, type[Ip6tnl] | type[Seg6]] = {"ip6tnl": Ip6tnl, "seg6": Seg6}


@cache
def data_planes() -> tuple[str, ...]:
    """Names of the data planes that this kernel has. Raises RuntimeError where there is none."""
    with _throw_away_namespace():
        routes = RouteTable()
        found = tuple(name for name, has in (("ip6tnl", ip6tnl.available), ("seg6", _has_seg6)) if has(routes))
        routes.close()
    if not found:
        raise RuntimeError("this kernel has neither CONFIG_IPV6_TUNNEL nor CONFIG_IPV6_SEG6_LWTUNNEL: no data plane could be tested")
    return found


def _has_seg6(routes: RouteTable) -> bool:
    loopback = routes.link("lo").index
    route = m.route(m.UPSERT, destination=octets("2001:db8::1"), interface_index=loopback, encapsulation=seg6.encapsulation(bytes(16)))
    refusals = (errno.EOPNOTSUPP, errno.EINVAL)
    return routes.netlink.request("seg6 route", route, tolerate=refusals) not in refusals


@cache
def has_mip6() -> bool:
    """Whether the kernel itself knows Home Address options and type 2 routing headers (CONFIG_IPV6_MIP6)."""
    with _throw_away_namespace() as name:
        state = "xfrm state add src 2001:db8::1 dst 2001:db8::2 proto route2 mode ro coa 2001:db8::3"
        return "Requested type not found" not in run("ip", "-n", name, *state.split(), check=False, errors_too=True)


@contextmanager
def _throw_away_namespace() -> Iterator[str]:
    name = f"clt{os.getpid()}-probe"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        with entered(f"/run/netns/{name}"):
            yield name
    finally:
        run("ip", "netns", "del", name)
