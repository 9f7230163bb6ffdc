"""Which home agent to register with, and dynamic home agent address discovery (RFC 6275 section 11.4.1)."""

from __future__ import annotations

import random
from collections.abc import Iterable

from closedloop_nf.mobile_node.actions import SendIcmpv6
from closedloop_nf.mobile_node.settings import DHAAD_RETRIES, Timers
from closedloop_nf.runtime.addresses import Prefix
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.ipv6 import is_unicast_routable


class HomeAgents:
    """The known home agents in order of preference, and which of them have failed in the present round."""

    def __init__(self, configured: Iterable[bytes]) -> None:
        self._configured = list(configured)
        self.known = self._configured
        self.current: bytes | None = self.known[0] if self.known else None
        self._failed: set[bytes] = set()

    def fail(self, agent: bytes) -> bytes | None:
        """`agent` did not take the registration: go to the next that has not failed in this round.

        None: all have failed; a new round begins and the most preferred one is current again.
        """
        self._failed.add(agent)
        following = next((other for other in self.known if other not in self._failed), None)
        if following is None:
            self._failed.clear()
        self.current = following or self.known[0]
        return following

    def begin_round(self) -> None:
        """What has failed so far is no longer held against any: a registration succeeded, or the node has moved."""
        self._failed.clear()

    def prefer(self, agents: Iterable[bytes]) -> None:
        """Agents named by a Home Agent Switch or a DHAAD reply come first, then the configured ones; the first is current."""
        named = list(dict.fromkeys(agents))
        if not named:
            return
        self.known = named + [agent for agent in self._configured if agent not in named]
        self.current = named[0]
        self._failed.clear()


def discovery_request(care_of_address: bytes, home_prefix: Prefix, identifier: int) -> SendIcmpv6:
    """Home Agent Address Discovery Request to the home agents' anycast address (RFC 6275 section 6.5)."""
    anycast = icmpv6.home_agents_anycast(*home_prefix.pair())
    message = icmpv6.build_icmpv6(icmpv6.HomeAgentDiscoveryRequest(identifier), care_of_address, anycast)
    return SendIcmpv6(care_of_address, anycast, None, message)


def usable_addresses(reply: icmpv6.HomeAgentDiscoveryReply, source: bytes) -> list[bytes]:
    """The home agents of a reply. One without addresses means its sender (RFC 6275 section 10.5.1)."""
    return [agent for agent in reply.home_agents or (source,) if is_unicast_routable(agent)]


class Discovery:
    """Timers of one DHAAD exchange. The request itself is the core's to send whenever `tick` or `start` says so."""

    def __init__(self, timers: Timers, rng: random.Random) -> None:
        self._timers = timers
        self._rng = rng
        self.identifier = 0
        self.due: float | None = None
        self._timeout_s = 0.0
        self._sent = 0

    @property
    def running(self) -> bool:
        return self.due is not None

    def start(self, now: Instant) -> bool:
        """Begin; False when an exchange is going on already."""
        if self.running:
            return False
        self.identifier = self._rng.randrange(1 << 16)
        self._timeout_s = self._timers.initial_dhaad_timeout_s
        self._sent = 1
        self.due = now.mono + self._timeout_s
        return True

    def tick(self, now: Instant) -> bool:
        """True when the request is to be sent again: back-off doubles, and after DHAAD_RETRIES stays where it is (section 11.4.1)."""
        if self.due is None or now.mono < self.due:
            return False
        if self._sent <= DHAAD_RETRIES:
            self._timeout_s *= 2
        self._sent += 1
        self.due = now.mono + self._timeout_s
        return True

    def stop(self) -> None:
        self.due = None

    def matches(self, identifier: int) -> bool:
        return self.running and identifier == self.identifier
