"""Mobile prefix discovery (RFC 6275 sections 11.4.2 and 11.4.3): what the home network says of its prefixes while the node is away."""

from __future__ import annotations

import random
from collections.abc import Iterable

from closedloop_nf.mobile_node.actions import SendIcmpv6
from closedloop_nf.mobile_node.settings import PREFIX_ADV_RETRIES, Settings
from closedloop_nf.runtime.addresses import Prefix
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import icmpv6
from closedloop_nf.wire.nd_options import NdOption, PrefixInformation

INFINITE = 0xFFFFFFFF
LEAST_BELIEVED_S = 7200
"""The advertisement is not authenticated, so it cannot shorten the lifetime below two hours (RFC 4862 section 5.5.3 e)."""
RENEW_SHARE = 0.75
"""A solicitation leaves when this share of the home prefix's valid lifetime has passed."""


def prefix_solicitation(care_of_address: bytes, home_agent: bytes, home_address: bytes, identifier: int) -> SendIcmpv6:
    """Mobile Prefix Solicitation with the Home Address option (RFC 6275 section 6.7)."""
    message = icmpv6.build_icmpv6(icmpv6.MobilePrefixSolicitation(identifier), home_address, home_agent)
    return SendIcmpv6(care_of_address, home_agent, home_address, message)


class HomePrefixes:
    """The home prefix's lifetime, and the timers of one Mobile Prefix Solicitation. Sending is the core's."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self.identifier = 0
        self.valid_until: float | None = None
        """Monotonic end of the home prefix's valid lifetime; None while the home network has not told one."""
        self.advertised: tuple[tuple[Prefix, int], ...] = ()
        """(prefix, valid lifetime in seconds) of the last advertisement."""
        self._due: float | None = None
        self._timeout_s = 0.0
        self._sent = 0
        self._renew_at: float | None = None

    def start(self, now: Instant) -> bool:
        """Begin an exchange; False when one is going on. True: the core sends the solicitation."""
        if self._due is not None:
            return False
        self.identifier = self._rng.randrange(1 << 16)
        self._timeout_s = self._settings.timers.initial_solicit_timer_s
        self._sent = 1
        self._renew_at = None
        self._due = now.mono + self._timeout_s
        return True

    def tick(self, now: Instant) -> bool:
        """True when a solicitation is to be sent: again after silence (at most PREFIX_ADV_RETRIES times), or because the prefix ages."""
        if self._renew_at is not None and self._renew_at <= now.mono:
            return self.start(now)
        if self._due is None or now.mono < self._due:
            return False
        if self._sent > PREFIX_ADV_RETRIES:
            self._due = None
            return False
        self._sent += 1
        self._timeout_s *= 2
        self._due = now.mono + self._timeout_s
        return True

    def stop(self) -> None:
        """Nothing more is asked until `start`."""
        self._due = self._renew_at = None

    def deadline(self) -> float | None:
        return min((time for time in (self._due, self._renew_at) if time is not None), default=None)

    def advertisement(self, identifier: int, options: Iterable[NdOption], now: Instant) -> bool:
        """Take a Mobile Prefix Advertisement. False when it answers no solicitation of ours: it is not authenticated, so an unsolicited one
        is only a reason to ask (section 11.4.3)."""
        if self._due is None or identifier != self.identifier:
            return False
        self._due = None
        informations = [option for option in options if isinstance(option, PrefixInformation)]
        self.advertised = tuple((network_of(option), option.valid_lifetime) for option in informations)
        lifetime = next((valid for prefix, valid in self.advertised if prefix == self._settings.home_prefix), None)
        if lifetime is None or lifetime == INFINITE:
            self.valid_until = self._renew_at = None
        else:
            lifetime = max(lifetime, LEAST_BELIEVED_S)
            self.valid_until = now.mono + lifetime
            self._renew_at = now.mono + lifetime * RENEW_SHARE
        return True


def network_of(option: PrefixInformation) -> Prefix:
    """The prefix without the host part that the Router Address bit allows (RFC 6275 section 7.2)."""
    shift = 128 - option.prefix_length
    return Prefix((int.from_bytes(option.prefix, "big") >> shift << shift).to_bytes(16, "big"), option.prefix_length)
