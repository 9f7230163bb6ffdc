"""What is sent by rtnetlink is what `ip` shows, what is refused is named, and only what is ours is removed."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator

import pytest
from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.route_table import RouteTable

from tests.kernel.bed import CORRESPONDENT, HOME_LINK, Bed, octets

MANY = 600
"""More than go into one system call."""


@pytest.fixture
def routes(bed: Bed) -> Iterator[RouteTable]:
    """The route table of `ha`."""
    table = RouteTable()
    with bed.inside("ha"):
        table.open()
    yield table
    table.close()


def home(number: int) -> bytes:
    return octets("2001:db8:a:1::")[:12] + number.to_bytes(4, "big")


def test_every_kind_of_object_is_what_ip_shows(bed: Bed, routes: RouteTable) -> None:
    link = routes.link("home")
    assert f"link/ether {link.address.hex(':')} " in bed.ip("ha", "-o link show home")
    assert (link.up, link.mtu) == (True, 1500)
    routes.add("route", m.route(m.UPSERT, destination=home(1), table=m.TABLE_TUNNEL, interface_index=link.index, metric=7, mtu=1300))
    assert "2001:db8:a:1::1 dev home proto 75 metric 7 mtu 1300" in bed.ip("ha", f"route show table {m.TABLE_TUNNEL}")
    routes.add("route", m.route(m.UPSERT, kind=m.RTN_UNREACHABLE, table=m.TABLE_TUNNEL, metric=9))
    assert "unreachable default dev lo proto 75 metric 9" in bed.ip("ha", f"route show table {m.TABLE_TUNNEL}")
    routes.add("route", m.route(m.UPSERT, gateway=octets("fe80::1"), interface_index=link.index, metric=8))
    assert "default via fe80::1 dev home proto 75 metric 8" in bed.ip("ha", "route show default")
    routes.add("neighbour", m.proxy_neighbour(home(1), link.index))
    assert bed.ip("ha", "neigh show proxy") == "2001:db8:a:1::1 dev home proxy proto 75 \n"
    routes.add("address", m.address(home(2), 64, link.index, prefix_route=False))
    assert "inet6 2001:db8:a:1::2/64 scope global nodad noprefixroute" in bed.ip("ha", "address show dev home")
    routes.add("rule", m.rule(5, m.TABLE_TUNNEL, fwmark=0x20000000))
    routes.add("rule", m.rule(6, m.TABLE_TUNNEL, source=home(2)))
    rules = bed.ip("ha", "rule show")
    assert f"5:\tfrom all fwmark 0x20000000/0x20000000 lookup {m.TABLE_TUNNEL} proto 75" in rules
    assert f"6:\tfrom 2001:db8:a:1::2 lookup {m.TABLE_TUNNEL} proto 75" in rules


def test_only_what_is_ours_is_removed(bed: Bed, routes: RouteTable) -> None:
    index = routes.link("home").index
    bed.ip("ha", "neigh add proxy 2001:db8:a:2::f dev home")
    bed.ip("ha", "route add 2001:db8:a:2::f dev home")
    before = [bed.ip("ha", what) for what in ("neigh show proxy", "route show table all", "rule show", "address show")]
    routes.insert_before_local(0x20000000, m.TABLE_DECAPSULATION)
    for number in range(MANY):
        routes.add("route", m.route(m.UPSERT, destination=home(number), interface_index=index))
    assert routes.netlink.batch([m.proxy_neighbour(home(number), index) for number in range(MANY)]) == []
    routes.add("address", m.address(home(1), 128, index))
    assert [found.address for found in routes.our_addresses()] == [home(1)]
    assert (len(routes.our_routes()), len(routes.our_proxy_neighbours())) == (MANY, MANY)
    routes.delete_all(routes.our_proxy_neighbours())
    routes.delete_all(routes.our_routes())
    routes.restore_rules()
    for found in routes.our_addresses():
        routes.delete("address", m.address(found.address, found.prefix_length, found.index, delete=True))
    assert [bed.ip("ha", what) for what in ("neigh show proxy", "route show table all", "rule show", "address show")] == before


def test_a_refused_change_is_named_with_the_kernels_own_words(bed: Bed, routes: RouteTable) -> None:
    with pytest.raises(KernelError, match=r"^\[Errno 19\] some route: the kernel answered No such device") as refused:
        routes.add("some route", m.route(m.UPSERT, destination=home(1), interface_index=9999))
    assert refused.value.errno == errno.ENODEV
    multicast = m.route(m.UPSERT, gateway=octets("ff02::1"), interface_index=routes.link("home").index)
    with pytest.raises(KernelError, match=r"Invalid argument \(Invalid gateway address\)"):
        routes.add("route", multicast)
    routes.delete("what is not there", m.route(0, delete=True, destination=home(1)))


def test_of_many_changes_the_refused_ones_are_known_and_the_others_made(bed: Bed, routes: RouteTable) -> None:
    index = routes.link("home").index
    refused = {0, 255, 256, MANY - 1}
    changes = [m.route(m.UPSERT, destination=home(number), interface_index=9999 if number in refused else index) for number in range(MANY)]
    failures = routes.netlink.batch(changes)
    assert [(failure.number, failure.code) for failure in failures] == [(number, errno.ENODEV) for number in sorted(refused)]
    assert bed.ip("ha", "route show proto 75").count("2001:db8:a:1:") == MANY - len(refused)
    assert routes.netlink.batch(changes, tolerate=(errno.ENODEV,)) == []


def test_it_works_inside_a_running_event_loop(bed: Bed, routes: RouteTable) -> None:
    async def addresses() -> set[bytes]:
        return {found.address for found in routes.addresses()}

    found = asyncio.run(addresses())
    assert octets(HOME_LINK) in found
    assert octets(CORRESPONDENT) not in found
