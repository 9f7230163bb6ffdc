"""Dynamic home agent address discovery and mobile prefix discovery (RFC 6275 sections 10.5 and 10.6)."""

from __future__ import annotations

import random

from closedloop_nf.ha_pp.events import Icmpv6Received, SendIcmpv6
from closedloop_nf.ha_pp.prefix_advertising import PrefixAdvertiser, advertisement
from closedloop_nf.ha_pp.state import State
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.errors import ParseError
from closedloop_nf.wire.ipv6 import is_unicast_routable

MAX_LISTED = (1280 - 40 - 8) // 16
"""Addresses in one DHAAD reply that stay inside the minimum MTU (RFC 6275 section 10.5.1)."""


def answer(state: State, received: Icmpv6Received, now: Instant, rng: random.Random, advertiser: PrefixAdvertiser) -> None:
    """Answer a home agent address discovery request or a mobile prefix solicitation; count and drop anything else."""
    if not state.serving(now) or state.address is None:
        state.counters["discarded_not_serving"] += 1
        return
    if not is_unicast_routable(received.source):
        state.counters["discarded_icmpv6_source"] += 1
        return
    try:
        message = icmpv6.parse_icmpv6(received.payload)
    except ParseError as error:
        state.counters["discarded_icmpv6_" + error.reason] += 1
        return
    if isinstance(message, icmpv6.HomeAgentDiscoveryRequest):
        if not state.unauthenticated.take(now):
            state.counters["answers_suppressed"] += 1
            return
        # Most preferred first, equals in another order each time (section 10.5.1).
        ranked = sorted(state.home_agents, key=lambda agent: (-agent.preference, rng.random()))
        reply = icmpv6.HomeAgentDiscoveryReply(
            identifier=message.identifier, home_agents=tuple(agent.address for agent in ranked[:MAX_LISTED])
        )
        state.counters["discovery_replies_sent"] += 1
        state.out.append(SendIcmpv6(state.address, received.source, None, icmpv6.build_icmpv6(reply, state.address, received.source)))
    elif isinstance(message, icmpv6.MobilePrefixSolicitation):
        home_address = received.home_address
        row = state.known.bindings.get(home_address) if home_address is not None else None
        bound = row is not None and home_address in state.served and row.care_of_address == received.source
        if not bound or home_address is None or received.destination != state.address:
            state.counters["discarded_prefix_solicitation_without_binding"] += 1
            return
        if not state.unauthenticated.take(now):
            state.counters["answers_suppressed"] += 1
            return
        state.out.append(advertisement(state, home_address, received.source, message.identifier))
        advertiser.solicited(home_address, now)
