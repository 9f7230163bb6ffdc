"""What is declared here on top of pyroute2 against the kernel's layout, what is read out of its messages, and messages encoded once."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from closedloop_nf.kernel import ip6tnl, seg6
from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.netlink import decoded, encoded
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.template import Template
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

HOME = socket.inet_pton(socket.AF_INET6, "2001:db8:a::1")
CARE_OF = socket.inet_pton(socket.AF_INET6, "2001:db8:c::1")
AGENT = socket.inet_pton(socket.AF_INET6, "2001:db8:a0::1")
UPLINK = m.Link(7, "region", up=True, mtu=1500, address=bytes(6))
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
IFA_F_PERMANENT = 0x80

address = st.binary(min_size=16, max_size=16)


def attribute(kind: int, payload: bytes) -> bytes:
    """struct nlattr, written out."""
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def read(message: bytes, kind: int, of: type) -> Any:
    """The message as it is read when the kernel sends it."""
    return next(decoded(message, {kind: of}))


def test_a_route_into_a_seg6_tunnel_adds_no_routing_header() -> None:
    route = seg6.Seg6(RouteTable()).route(HOME, CARE_OF, UPLINK, table=m.TABLE_MAIN)
    encap_red, next_header, header_length, type_srh = struct.pack("=i", 3), 0, 2, 4
    segment_routing_header = encap_red + bytes((next_header, header_length, type_srh, 0, 0, 0, 0, 0)) + CARE_OF
    lwtunnel_seg6, rta_encap_type, rta_encap, seg6_iptunnel_srh = 5, 21, 22, 1
    expected = attribute(rta_encap, attribute(seg6_iptunnel_srh, segment_routing_header))
    assert route.endswith(attribute(rta_encap_type, struct.pack("=H", lwtunnel_seg6)) + expected)


def test_a_route_into_an_ip6tnl_tunnel_names_both_ends() -> None:
    """`ip -6 route add HOME encap ip6 id 0 dst CARE_OF src AGENT hoplimit 64 dev cltunnel` sends these attributes (LWTUNNEL_IP6_*)."""
    tunnel = ip6tnl.Ip6tnl(RouteTable())
    tunnel.set_source(AGENT)
    identifier, destination, source, hop_limit = 1, 2, 3, 4
    ends = attribute(identifier, bytes(8)) + attribute(destination, CARE_OF) + attribute(source, AGENT) + attribute(hop_limit, b"\x40")
    lwtunnel_ip6, rta_encap_type, rta_encap = 4, 21, 22
    expected = attribute(rta_encap_type, struct.pack("=H", lwtunnel_ip6)) + attribute(rta_encap, ends)
    assert tunnel.route(HOME, CARE_OF, UPLINK, table=m.TABLE_MAIN).endswith(expected)


def test_a_large_table_number_is_an_attribute_only() -> None:
    assert read(m.route(0, table=6276), rtnl.RTM_NEWROUTE, rtmsg)["table"] == 0
    assert read(m.route(0, table=254), rtnl.RTM_NEWROUTE, rtmsg)["table"] == 254


def test_what_is_dumped_is_deleted_as_it_was_dumped() -> None:
    dumped = m.route(m.UPSERT, destination=HOME, interface_index=7, metric=5)
    again = m.deletion(read(dumped, rtnl.RTM_NEWROUTE, rtmsg), rtnl.RTM_DELROUTE)
    length, kind, flags = struct.unpack_from("=IHH", again)
    assert (length, kind, flags) == (len(dumped), rtnl.RTM_DELROUTE, 1)
    assert again[8:] == dumped[8:]


def test_the_second_message_of_a_datagram_is_deleted_as_itself() -> None:
    first, second = m.route(0, destination=AGENT), m.route(0, destination=HOME, metric=9)
    _, found = decoded(first + second, {rtnl.RTM_NEWROUTE: rtmsg})
    assert m.deletion(found, rtnl.RTM_DELROUTE)[8:] == second[8:]


@pytest.mark.parametrize(("flags", "up"), [(IFF_UP | IFF_LOWER_UP, True), (IFF_UP, False), (IFF_LOWER_UP, False)])
def test_a_link_is_up_with_carrier_only(flags: int, up: bool) -> None:
    attributes = [("IFLA_IFNAME", "eth0"), ("IFLA_MTU", 1460), ("IFLA_ADDRESS", "02:00:00:00:00:07")]
    message = encoded(ifinfmsg(), rtnl.RTM_NEWLINK, 0, attributes, index=7, flags=flags)
    expected = m.Link(7, "eth0", up, 1460, bytes.fromhex("020000000007"))
    assert m.read_link(read(message, rtnl.RTM_NEWLINK, ifinfmsg)) == expected


def test_a_link_without_link_layer_address() -> None:
    message = encoded(ifinfmsg(), rtnl.RTM_NEWLINK, 0, [("IFLA_IFNAME", "tunnel")], index=8)
    assert m.read_link(read(message, rtnl.RTM_NEWLINK, ifinfmsg)) == m.Link(8, "tunnel", False, 0, b"")


def test_an_address_comes_back_with_all_its_flags() -> None:
    nodad_and_no_prefix_route = 0x02 | 0x200
    found = m.read_address(read(m.address(HOME, 128, 7, prefix_route=False), rtnl.RTM_NEWADDR, ifaddrmsg))
    assert found == m.InterfaceAddress(7, HOME, 128, nodad_and_no_prefix_route, m.PROTOCOL)


@pytest.mark.parametrize(("fwmark", "source"), [(0x20000000, None), (0, HOME)])
def test_a_rule_comes_back(fwmark: int, source: bytes | None) -> None:
    message = m.rule(9, m.TABLE_DECAPSULATION, fwmark=fwmark, source=source)
    assert m.read_rule(read(message, rtnl.RTM_NEWRULE, fibmsg)) == m.Rule(9, m.TABLE_DECAPSULATION, m.PROTOCOL, fwmark, source)


KERNEL, RA, STATIC = 2, 9, 4
GATEWAY = "fe80::1"
EXPIRES: Mapping[str, int] = {"rta_expires": 100}


@pytest.mark.parametrize(
    ("protocol", "prefix_length", "gateway", "cache", "advertised"),
    [
        pytest.param(RA, 0, GATEWAY, EXPIRES, True, id="default route"),
        pytest.param(RA, 64, GATEWAY, EXPIRES, False, id="route information"),
        pytest.param(KERNEL, 64, None, EXPIRES, True, id="on-link prefix"),
        pytest.param(KERNEL, 64, None, {}, False, id="prefix of a manual address"),
        pytest.param(STATIC, 0, GATEWAY, EXPIRES, False, id="manual default route"),
    ],
)
def test_which_routes_a_router_advertisement_made(
    protocol: int, prefix_length: int, gateway: str | None, cache: Mapping[str, int], advertised: bool
) -> None:
    attributes: list[tuple[str, object]] = [("RTA_DST", "2001:db8:c::")] if prefix_length else []
    attributes += [("RTA_GATEWAY", gateway)] if gateway else []
    attributes += [("RTA_OIF", 7), ("RTA_CACHEINFO", cache)]
    fields = {"family": socket.AF_INET6, "dst_len": prefix_length, "table": m.TABLE_MAIN, "proto": protocol, "type": m.RTN_UNICAST}
    message = encoded(rtmsg(), rtnl.RTM_NEWROUTE, 0, attributes, **fields)
    found = m.read_advertised_route(read(message, rtnl.RTM_NEWROUTE, rtmsg))
    assert (found is not None) is advertised
    if found is not None:
        destination = "2001:db8:c::" if prefix_length else "::"
        through = None if gateway is None else socket.inet_pton(socket.AF_INET6, gateway)
        assert found == m.AdvertisedRoute(7, socket.inet_pton(socket.AF_INET6, destination), prefix_length, through)


@given(address, address)
def test_a_filled_template_equals_a_message_encoded_anew(home: bytes, care_of: bytes) -> None:
    tunnel = seg6.Seg6(RouteTable())
    first, second = Template.sentinels()
    template = Template(tunnel.route(first, second, UPLINK, table=m.TABLE_MAIN), 2)
    assert template.fill(home, care_of) == tunnel.route(home, care_of, UPLINK, table=m.TABLE_MAIN)


def test_a_template_keeps_the_order_of_its_arguments_where_the_message_has_another() -> None:
    first, second = Template.sentinels()
    assert Template(b"<" + second + b"|" + first + b">", 2).fill(b"1" * 16, b"2" * 16) == b"<" + b"2" * 16 + b"|" + b"1" * 16 + b">"


@pytest.mark.parametrize(
    ("protocol", "flags", "expected"),
    [
        (2, 0, True),
        (0, 0, True),
        (0, IFA_F_PERMANENT, False),
        (1, IFA_F_PERMANENT, False),
        (m.PROTOCOL, IFA_F_PERMANENT, False),
    ],
)
def test_who_made_an_address(protocol: int, flags: int, expected: bool) -> None:
    assert m.made_by_slaac(m.InterfaceAddress(7, HOME, 64, flags, protocol)) is expected
