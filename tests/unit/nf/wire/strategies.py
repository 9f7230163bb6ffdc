"""Hypothesis strategies for every message and option that the wire formats know."""

from __future__ import annotations

from closedloop_nf.wire import icmpv6 as icmp
from closedloop_nf.wire import mobility as mh
from closedloop_nf.wire import mobility_options as opt
from closedloop_nf.wire import nd_options as nd
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

unhurried = settings(deadline=None)
"""For every property: a busy machine is no reason to fail."""

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, (1 << 64) - 1)
octets8 = st.binary(min_size=8, max_size=8)
addresses = st.binary(min_size=16, max_size=16)
unicast_addresses = addresses.filter(lambda address: address[0] != 0xFF)

KNOWN_MOBILITY_OPTIONS = {0, 1, 2, 3, 4, 5, 8, 9, 10}
KNOWN_MESSAGES = {0, 1, 2, 3, 4, 5, 6, 7, 12}
KNOWN_ND_OPTIONS = {1, 2, 3, 5, 7, 8}
KNOWN_ICMPV6 = {1, 2, 4, 133, 134, 135, 136, 144, 145, 146, 147}

known_mobility_options: SearchStrategy[opt.MobilityOption] = st.one_of(
    st.builds(opt.BindingRefreshAdvice, u16),
    st.builds(opt.AlternateCareOfAddress, addresses),
    st.builds(opt.NonceIndices, u16, u16),
    st.builds(opt.BindingAuthorizationData, st.binary(min_size=12, max_size=12)),
    st.builds(opt.MobileNodeIdentifier, u8, st.binary(min_size=1, max_size=60)),
    st.builds(opt.Authentication, u8, u32, st.binary(min_size=1, max_size=40)),
    st.builds(opt.ReplayProtection, u64),
)
unknown_mobility_options = st.builds(opt.UnknownOption, u8.filter(lambda kind: kind not in KNOWN_MOBILITY_OPTIONS), st.binary(max_size=60))


def _identity(option: opt.MobilityOption) -> object:
    """What may occur once in a message; unknown options differ always."""
    if isinstance(option, opt.UnknownOption):
        return id(option)
    return type(option), getattr(option, "subtype", None)


mobility_options = st.lists(known_mobility_options | unknown_mobility_options, max_size=8, unique_by=_identity).map(tuple)

messages: SearchStrategy[mh.MobilityMessage] = st.one_of(
    st.builds(mh.BindingRefreshRequest, mobility_options),
    st.builds(mh.HomeTestInit, octets8, mobility_options),
    st.builds(mh.CareOfTestInit, octets8, mobility_options),
    st.builds(mh.HomeTest, u16, octets8, octets8, mobility_options),
    st.builds(mh.CareOfTest, u16, octets8, octets8, mobility_options),
    st.builds(mh.BindingUpdate, u16, st.booleans(), st.booleans(), st.booleans(), st.booleans(), u16, mobility_options),
    st.builds(mh.BindingAcknowledgement, u8, st.booleans(), u16, u16, mobility_options),
    st.builds(mh.BindingError, u8, addresses, mobility_options),
    st.builds(mh.HomeAgentSwitch, st.lists(addresses, max_size=10).map(tuple), mobility_options),
    st.builds(
        mh.UnknownMobility,
        u8.filter(lambda kind: kind not in KNOWN_MESSAGES),
        st.integers(0, 20).flatmap(lambda units: st.binary(min_size=8 * units + 2, max_size=8 * units + 2)),
    ),
)

authenticated_options = st.lists(
    st.one_of(known_mobility_options, unknown_mobility_options).filter(lambda option: not isinstance(option, opt.Authentication)),
    max_size=6,
    unique_by=_identity,
).map(tuple)
authenticated_messages: SearchStrategy[mh.BindingUpdate | mh.BindingAcknowledgement | mh.HomeAgentSwitch] = st.one_of(
    st.builds(mh.BindingUpdate, u16, st.booleans(), st.booleans(), st.booleans(), st.booleans(), u16, authenticated_options),
    st.builds(mh.BindingAcknowledgement, u8, st.booleans(), u16, u16, authenticated_options),
    st.builds(mh.HomeAgentSwitch, st.lists(addresses, max_size=4).map(tuple), authenticated_options),
)

_link_layer = st.integers(1, 3).flatmap(lambda units: st.binary(min_size=8 * units - 2, max_size=8 * units - 2))
nd_options = st.lists(
    st.one_of(
        st.builds(nd.SourceLinkLayerAddress, _link_layer),
        st.builds(nd.TargetLinkLayerAddress, _link_layer),
        st.builds(nd.PrefixInformation, addresses, st.integers(0, 128), st.booleans(), st.booleans(), st.booleans(), u32, u32),
        st.builds(nd.Mtu, u32),
        st.builds(nd.AdvertisementInterval, u32),
        st.builds(nd.HomeAgentInformation, u16, u16),
        st.builds(nd.UnknownNdOption, u8.filter(lambda kind: kind not in KNOWN_ND_OPTIONS), _link_layer),
    ),
    max_size=6,
).map(tuple)

icmpv6_messages: SearchStrategy[icmp.Icmpv6Message] = st.one_of(
    st.builds(icmp.DestinationUnreachable, u8, st.binary(max_size=200)),
    st.builds(icmp.PacketTooBig, u32, st.binary(max_size=200)),
    st.builds(icmp.ParameterProblem, u8, u32, st.binary(max_size=200)),
    st.builds(icmp.RouterSolicitation, nd_options),
    st.builds(icmp.RouterAdvertisement, u8, st.booleans(), st.booleans(), st.booleans(), u16, u32, u32, nd_options),
    st.builds(icmp.NeighborSolicitation, unicast_addresses, nd_options),
    st.builds(icmp.NeighborAdvertisement, unicast_addresses, st.booleans(), st.booleans(), st.booleans(), nd_options),
    st.builds(icmp.HomeAgentDiscoveryRequest, u16),
    st.builds(icmp.HomeAgentDiscoveryReply, u16, st.lists(addresses, max_size=8).map(tuple)),
    st.builds(icmp.MobilePrefixSolicitation, u16),
    st.builds(icmp.MobilePrefixAdvertisement, u16, st.booleans(), st.booleans(), nd_options),
    st.builds(icmp.UnknownIcmpv6, u8.filter(lambda kind: kind not in KNOWN_ICMPV6), u8, st.binary(max_size=200)),
)
