"""From a Router Advertisement's octets to the core's input."""

from __future__ import annotations

from closedloop_nf.mobile_node.inputs import RouterAdvertised
from closedloop_nf.mobile_node.prefixes import network_of
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.errors import ParseError
from closedloop_nf.wire.ipv6 import is_link_local
from closedloop_nf.wire.nd_options import AdvertisementInterval, PrefixInformation


def router_advertised(interface: str, router: bytes, payload: bytes) -> RouterAdvertised | None:
    """The input, or None where the octets are no valid advertisement (RFC 4861 section 6.1.2; the hop limit is the socket's to check)."""
    try:
        message = icmpv6.parse_icmpv6(payload)
    except ParseError:
        return None
    if not isinstance(message, icmpv6.RouterAdvertisement) or not is_link_local(router):
        return None
    interval: float | None = None
    prefixes = []
    for option in message.options:
        if isinstance(option, AdvertisementInterval) and option.milliseconds:
            interval = option.milliseconds / 1000
        elif isinstance(option, PrefixInformation) and option.valid_lifetime and (option.autonomous or option.on_link):
            prefixes.append(network_of(option))
    return RouterAdvertised(interface, router, message.router_lifetime, tuple(prefixes), interval)
