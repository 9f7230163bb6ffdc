"""Encoding of netlink messages, with pyroute2's decoder as the independent oracle."""

from __future__ import annotations

import socket
import struct

import pytest
from closedloop_nf.kernel import ip6tnl, seg6
from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel import netlink as nl
from closedloop_nf.kernel.netlink import Template
from closedloop_nf.kernel.route_table import RouteTable
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

HOME = socket.inet_pton(socket.AF_INET6, "2001:db8:a::1")
CARE_OF = socket.inet_pton(socket.AF_INET6, "2001:db8:c::1")
AGENT = socket.inet_pton(socket.AF_INET6, "2001:db8:a0::1")
UPLINK = m.Link(7, "region", up=True, mtu=1500, address=bytes(6))

address = st.binary(min_size=16, max_size=16)


def decoded(kind: type, message: bytes):
    """The message as pyroute2 reads it."""
    found = kind(message)
    found.decode()
    return found


def test_a_seg6_tunnel_route() -> None:
    found = decoded(rtmsg, seg6.Seg6(RouteTable()).route(HOME, CARE_OF, UPLINK, table=m.TABLE_MAIN))
    assert (found["family"], found["dst_len"], found["table"], found["proto"]) == (socket.AF_INET6, 128, m.TABLE_MAIN, m.PROTOCOL)
    assert found.get_attr("RTA_DST") == "2001:db8:a::1"
    assert found.get_attr("RTA_OIF") == 7
    assert found.get_attr("RTA_METRICS").get_attr("RTAX_MTU") == 1500 - 40 + 64
    assert found.get_attr("RTA_ENCAP_TYPE") == 5
    tunnel = found.get_attr("RTA_ENCAP").get_attr("SEG6_IPTUNNEL_SRH")
    assert tunnel["segs"] == ["2001:db8:c::1"]
    encap_red = struct.pack("=i", 3)
    assert encap_red + bytes((0, 2, 4, 0, 0, 0, 0, 0)) + CARE_OF in seg6.encapsulation(CARE_OF).attributes


def test_a_seg6_decapsulation() -> None:
    local = decoded(rtmsg, m.route(nl.UPSERT, destination=AGENT, table=m.TABLE_DECAPSULATION, encapsulation=seg6.decapsulation(254)))
    assert local.get_attr("RTA_TABLE") == m.TABLE_DECAPSULATION
    assert local.get_attr("RTA_ENCAP_TYPE") == 7
    action = local.get_attr("RTA_ENCAP")
    assert action.get_attr("SEG6_LOCAL_ACTION") == 7
    assert action.get_attr("SEG6_LOCAL_TABLE") == 254


def test_an_ip6tnl_tunnel_route() -> None:
    """`ip -6 route add HOME encap ip6 id 0 dst CARE_OF src AGENT hoplimit 64 dev cltunnel` sends these attributes (LWTUNNEL_IP6_*)."""
    tunnel = ip6tnl.Ip6tnl(RouteTable())
    tunnel.set_source(AGENT)
    found = decoded(rtmsg, tunnel.route(HOME, CARE_OF, UPLINK, table=m.TABLE_MAIN))
    assert found.get_attr("RTA_ENCAP_TYPE") == 4
    attributes = nl.parse_attributes(ip6tnl.encapsulation(CARE_OF, AGENT).attributes)
    identifier, destination, source, hop_limit = 1, 2, 3, 4
    assert attributes == {identifier: bytes(8), destination: CARE_OF, source: AGENT, hop_limit: b"\x40"}


def test_an_ip6tnl_device() -> None:
    found = decoded(ifinfmsg, ip6tnl.device("cltunnel"))
    info = found.get_attr("IFLA_LINKINFO")
    assert found.get_attr("IFLA_IFNAME") == "cltunnel"
    assert info.get_attr("IFLA_INFO_KIND") == "ip6tnl"
    data = info.get_attr("IFLA_INFO_DATA")
    assert data.get_attr("IFLA_IP6TNL_PROTO", data.get_attr("IFLA_IPTUN_PROTO")) == 41
    raw = ip6tnl.device("cltunnel")
    collect_metadata = nl.attribute(19, b"")
    assert collect_metadata in raw
    up = decoded(ifinfmsg, ip6tnl.raise_device(9, 1460))
    assert (up["index"], up["flags"] & 1, up["change"], up.get_attr("IFLA_MTU")) == (9, 1, 1, 1460)
    assert decoded(ifinfmsg, ip6tnl.delete_device("cltunnel")).get_attr("IFLA_IFNAME") == "cltunnel"


def test_a_proxy_neighbour() -> None:
    found = decoded(ndmsg, m.proxy_neighbour(HOME, 7))
    assert (found["family"], found["ifindex"], found["flags"]) == (socket.AF_INET6, 7, 8)
    assert found.get_attr("NDA_DST") == "2001:db8:a::1"
    assert found.get_attr("NDA_PROTOCOL") == m.PROTOCOL


def test_an_address() -> None:
    found = decoded(ifaddrmsg, m.address(HOME, 128, 7, prefix_route=False))
    assert (found["prefixlen"], found["index"]) == (128, 7)
    assert found.get_attr("IFA_ADDRESS") == "2001:db8:a::1"
    assert found.get_attr("IFA_FLAGS") == m.IFA_F_NODAD | m.IFA_F_NOPREFIXROUTE


def test_a_rule() -> None:
    found = decoded(fibmsg, m.rule(0, m.TABLE_DECAPSULATION, fwmark=0x20000000))
    assert found.get_attr("FRA_TABLE") == m.TABLE_DECAPSULATION
    assert (found.get_attr("FRA_FWMARK"), found.get_attr("FRA_FWMASK")) == (0x20000000, 0x20000000)
    assert decoded(fibmsg, m.rule(9, 254, source=HOME)).get_attr("FRA_SRC") == "2001:db8:a::1"


def test_a_large_table_number_is_an_attribute() -> None:
    assert decoded(rtmsg, m.route(0, table=6276))["table"] == 0
    assert decoded(rtmsg, m.route(0, table=254))["table"] == 254


@given(address, address)
def test_a_filled_template_equals_a_message_encoded_anew(home: bytes, care_of: bytes) -> None:
    tunnel = seg6.Seg6(RouteTable())
    first, second = Template.sentinels()
    template = Template(tunnel.route(first, second, UPLINK, table=m.TABLE_MAIN), 2)
    assert template.fill(home, care_of) == tunnel.route(home, care_of, UPLINK, table=m.TABLE_MAIN)


def test_a_template_keeps_the_order_of_its_arguments_where_the_message_has_another() -> None:
    first, second = Template.sentinels()
    assert Template(b"<" + second + b"|" + first + b">", 2).fill(b"1" * 16, b"2" * 16) == b"<" + b"2" * 16 + b"|" + b"1" * 16 + b">"


@given(st.dictionaries(st.integers(min_value=0, max_value=0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_come_back(attributes: dict[int, bytes]) -> None:
    encoded = b"".join(nl.attribute(kind, payload) for kind, payload in attributes.items())
    assert len(encoded) % 4 == 0
    assert nl.parse_attributes(encoded) == attributes


@given(st.binary(max_size=200))
def test_no_attribute_bytes_raise(data: bytes) -> None:
    nl.parse_attributes(data)


@pytest.mark.parametrize(
    ("protocol", "flags", "expected"),
    [
        (2, 0, True),
        (0, 0, True),
        (0, m.IFA_F_PERMANENT, False),
        (1, m.IFA_F_PERMANENT, False),
        (m.PROTOCOL, m.IFA_F_PERMANENT, False),
    ],
)
def test_who_made_an_address(protocol: int, flags: int, expected: bool) -> None:
    assert m.made_by_slaac(m.InterfaceAddress(7, HOME, 64, flags, protocol)) is expected
