"""Messages an HA-PP sends to mobile nodes: Binding Acknowledgement, Binding Refresh Request, Binding Error, Home Agent Switch, and what it
answers to malformed ones."""

from __future__ import annotations

from closedloop_nf.ha_pp.events import SendIcmpv6, SendMobility
from closedloop_nf.wire import authentication, icmpv6, ipv6, mobility
from closedloop_nf.wire.mobility_options import BindingRefreshAdvice, MobilityOption, ReplayProtection

REFRESH_ADVICE_SHARE = 0.75
"""Share of the granted lifetime after which the mobile node is advised to refresh (RFC 6275 section 6.2.4)."""


def binding_acknowledgement(
    *,
    source: bytes,
    destination: bytes,
    home_address: bytes,
    care_of_address: bytes,
    status: int,
    sequence: int,
    lifetime_s: int,
    timestamp: int,
    spi: int | None,
    key: bytes | None,
) -> SendMobility:
    """RFC 6275 section 9.5.4, signed as RFC 4285 section 5 says when a key is given.

    destination: the care-of address of an accepted binding, else the Binding Update's source. When that is the home address itself
    (returned home) no routing header is used.
    The K bit stays clear: no key management daemon here could move its endpoint (section 10.3.1). The refresh advice is there although
    HA-B is durable: what a mobile node loses with an HA-PP is the tunnel, and an early refresh finds that out.
    timestamp: goes back in a replay protection option; 0 leaves it out.
    """
    options: list[MobilityOption] = []
    lifetime = lifetime_s // 4
    if status < 128 and lifetime_s >= 8:
        options.append(BindingRefreshAdvice(max(1, int(lifetime * REFRESH_ADVICE_SHARE))))
    if timestamp:
        options.append(ReplayProtection(timestamp))
    message = mobility.BindingAcknowledgement(
        status=status, key_management=False, sequence=sequence, lifetime=lifetime if status < 128 else 0, options=tuple(options)
    )
    return _send(message, source, destination, home_address, care_of_address, spi, key)


def home_agent_switch(
    *, source: bytes, home_address: bytes, care_of_address: bytes, home_agents: list[bytes], timestamp: int, spi: int, key: bytes
) -> SendMobility:
    """RFC 5142 section 4, protected by the RFC 4285 option and a timestamp, as there is no IPsec here."""
    message = mobility.HomeAgentSwitch(home_agents=tuple(home_agents), options=(ReplayProtection(timestamp),))
    return _send(message, source, care_of_address, home_address, care_of_address, spi, key)


def binding_refresh_request(*, source: bytes, home_address: bytes, care_of_address: bytes) -> SendMobility:
    """RFC 6275 section 6.1.2: the mobile node should update its binding. To its home address, so through its tunnel: only a Binding
    Acknowledgement may come by a type 2 routing header (section 6.1)."""
    data = mobility.build_mobility(mobility.BindingRefreshRequest(options=()))
    return SendMobility(source, home_address, None, mobility.seal(data, source, home_address), tunnel=care_of_address)


def binding_error(*, source: bytes, destination: bytes, status: int, home_address: bytes) -> SendMobility:
    """RFC 6275 section 9.3.3: status 1 (unknown binding for the Home Address option) or 2 (unrecognised MH type)."""
    data = mobility.seal(mobility.build_mobility(mobility.BindingError(status=status, home_address=home_address)), source, destination)
    return SendMobility(source, destination, None, data)


def parameter_problem(*, source: bytes, destination: bytes, home_address: bytes | None, payload: bytes, offset: int) -> SendIcmpv6:
    """RFC 6275 section 9.2, to the sender of a Mobility Header whose octet at `offset` is wrong. The raw socket has taken its headers off:
    what it invokes is the packet made anew, from `destination` to `source`."""
    invoking = ipv6.build_packet(destination, source, mobility.MOBILITY_HEADER, payload, home_address_option=home_address)
    problem = icmpv6.ParameterProblem(code=0, pointer=len(invoking) - len(payload) + offset, invoking=invoking)
    return SendIcmpv6(source, destination, None, icmpv6.build_icmpv6(problem, source, destination))


def _send(
    message: mobility.BindingAcknowledgement | mobility.HomeAgentSwitch,
    source: bytes,
    destination: bytes,
    home_address: bytes,
    care_of_address: bytes,
    spi: int | None,
    key: bytes | None,
) -> SendMobility:
    if spi is not None and key is not None:
        data = authentication.authenticate(message, care_of_address=care_of_address, home_address=home_address, spi=spi, key=key)
    else:
        data = mobility.build_mobility(message)
    at_home = destination == home_address
    # The checksum's pseudo-header has the final destination: the home address (RFC 6275 section 6.1.1, RFC 8200 section 8.1).
    return SendMobility(source, destination, None if at_home else home_address, mobility.seal(data, source, home_address))
