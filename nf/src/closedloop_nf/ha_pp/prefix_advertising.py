"""Mobile Prefix Advertisements: their content, and when they go out without having been asked for (RFC 6275 sections 10.6.1 and 10.6.2).

new binding, or prefixes changed --random delay--> sent --3, 6, 12 s without an answer--> sent again, up to three times
a solicitation acknowledges what was sent; when the longest interval has passed since, the next is planned
"""

from __future__ import annotations

import random

from closedloop_nf.ha_pp.agenda import Agenda
from closedloop_nf.ha_pp.events import SendIcmpv6
from closedloop_nf.ha_pp.state import State
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.nd_options import PrefixInformation

PREFIX_LIFETIME_S = 86_400
"""Valid and preferred."""
PREFIX_ADV_RETRIES = 3
PREFIX_ADV_TIMEOUT_S = 3.0
AT_ONCE = 200
"""Advertisements sent in one step."""


def advertisement(state: State, home_address: bytes, care_of_address: bytes, identifier: int) -> SendIcmpv6:
    """All home prefixes, to a bound mobile node by a type 2 routing header. `state.address` must be there."""
    assert state.address is not None
    message = icmpv6.MobilePrefixAdvertisement(
        identifier=identifier, managed=False, other=False, options=tuple(_prefix(p, n) for p, n in state.home_prefixes)
    )
    state.counters["prefix_advertisements_sent"] += 1
    return SendIcmpv6(state.address, care_of_address, home_address, icmpv6.build_icmpv6(message, state.address, home_address))


def _prefix(prefix: bytes, length: int) -> PrefixInformation:
    return PrefixInformation(
        prefix_length=length,
        on_link=True,
        autonomous=True,
        router_address=False,
        valid_lifetime=PREFIX_LIFETIME_S,
        preferred_lifetime=PREFIX_LIFETIME_S,
        prefix=prefix,
    )


class PrefixAdvertiser:
    """The unsolicited advertisements of all bindings that are served here. rng: spreads them."""

    def __init__(self, state: State, rng: random.Random) -> None:
        self._state, self._rng = state, rng
        self._agenda = Agenda()
        self._sent: dict[bytes, int] = {}
        """Home address -> transmissions of the present advertisement that the node has not acknowledged."""
        self._prefixes: list[tuple[bytes, int]] | None = None

    def deadline(self) -> float | None:
        return self._agenda.deadline()

    def served(self, home_address: bytes, now: Instant) -> None:
        """A binding is new here: as far as is known its node was told nothing."""
        if self._agenda.due(home_address) is None:
            self._plan(home_address, now.mono + self._delay_s())

    def registered(self, home_address: bytes, now: Instant) -> None:
        """The node registered again: what it has not acknowledged it gets anew."""
        if self._sent.get(home_address, 0) > PREFIX_ADV_RETRIES:
            self._plan(home_address, now.mono)

    def solicited(self, home_address: bytes, now: Instant) -> None:
        """The node asked and was answered, which acknowledges what was sent before."""
        self._plan(home_address, now.mono + self._state.parameters.prefix_max_interval_s + self._delay_s())

    def prefixes_known(self, now: Instant) -> None:
        """`state.home_prefixes` are what HA-B says. Where they have changed, every node is to hear of it; what is planned already goes out
        with them."""
        before, self._prefixes = self._prefixes, list(self._state.home_prefixes)
        if before is None or before == self._prefixes:
            return
        for home_address in self._state.served:
            due = self._agenda.due(home_address)
            if due is None or self._sent.get(home_address) or due > now.mono + self._longest_delay_s():
                self._plan(home_address, now.mono + self._delay_s())

    def cancel(self, home_address: bytes) -> None:
        """The binding is no longer served here."""
        self._agenda.cancel(home_address)
        self._sent.pop(home_address, None)

    def tick(self, now: Instant) -> None:
        """Send what is due."""
        state = self._state
        for home_address in self._agenda.take(now.mono, AT_ONCE):
            row = state.known.bindings.get(home_address)
            if row is not None and state.serving(now) and state.address is not None:
                state.out.append(advertisement(state, home_address, row.care_of_address, self._rng.randrange(1 << 16)))
            sent = self._sent.get(home_address, 0)
            sent = 1 if sent > PREFIX_ADV_RETRIES else sent + 1
            self._sent[home_address] = sent
            if sent <= PREFIX_ADV_RETRIES:
                pause = PREFIX_ADV_TIMEOUT_S * 2 ** (sent - 1)
            else:
                pause = state.parameters.prefix_max_interval_s + self._delay_s()
            self._agenda.plan(home_address, now.mono + pause)

    def _plan(self, home_address: bytes, due: float) -> None:
        """Another advertisement than the one before."""
        self._sent.pop(home_address, None)
        self._agenda.plan(home_address, due)

    def _longest_delay_s(self) -> float:
        least = self._state.parameters.prefix_min_interval_s
        return least + abs(min(self._state.parameters.prefix_max_interval_s, PREFIX_LIFETIME_S) - least)

    def _delay_s(self) -> float:
        """RAND_ADV_DELAY."""
        return self._rng.uniform(self._state.parameters.prefix_min_interval_s, self._longest_delay_s())
