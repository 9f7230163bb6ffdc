"""Checks on what arrives, before anything is believed (RFC 6275 sections 9.2 and 11.7.3, RFC 4285 section 5, RFC 5142 section 6.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from closedloop_nf.mobile_node.inputs import Icmpv6Received, MobilityReceived
from closedloop_nf.mobile_node.security import ReplayClock, Security, timestamp_of
from closedloop_nf.mobile_node.settings import Settings
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import icmpv6, ipv6, mobility
from closedloop_nf.wire.errors import ParseError


class Reception:
    """Turns octets into messages that may be acted upon; counts the rest by reason."""

    def __init__(self, settings: Settings, security: Security, clock: ReplayClock, counters: Counter[str]) -> None:
        self._settings = settings
        self._security = security
        self._clock = clock
        self._counters = counters
        self._last_switch = 0
        """Timestamp of the last Home Agent Switch that was taken."""

    def read_mobility(self, event: MobilityReceived, care_of_addresses: Iterable[bytes], now: Instant) -> mobility.MobilityMessage | None:
        """The message, when it is well formed, for our home address, and genuine where its kind is protected.

        care_of_addresses: those an authenticator may cover.
        """
        try:
            message = mobility.parse_mobility(event.payload)
            refusal = self._refusal(message, event, care_of_addresses, now)
        except ParseError as error:
            refusal = f"malformed_{error.reason}"
        if refusal is not None:
            self._counters[refusal] += 1
            return None
        return message

    def read_icmpv6(self, event: Icmpv6Received) -> icmpv6.Icmpv6Message | None:
        try:
            message = icmpv6.parse_icmpv6(event.payload)
        except ParseError as error:
            self._counters[f"malformed_icmpv6_{error.reason}"] += 1
            return None
        if isinstance(message, icmpv6.MobilePrefixAdvertisement) and event.home_address != self._settings.home_address:
            # RFC 6275 section 11.4.3.
            self._counters["prefix_advertisement_without_routing_header"] += 1
            return None
        return message

    def undelivered_sequence(self, invoking: bytes) -> int | None:
        """Sequence number of the Binding Update inside an ICMPv6 error, None where it carries none that can be read."""
        try:
            packet = ipv6.parse_packet(invoking)
            if packet.next_header != mobility.MOBILITY_HEADER or packet.home_address_option not in (None, self._settings.home_address):
                return None
            message = mobility.parse_mobility(packet.payload)
        except ParseError:
            return None
        return message.sequence if isinstance(message, mobility.BindingUpdate) else None

    def _refusal(
        self, message: mobility.MobilityMessage, event: MobilityReceived, care_of_addresses: Iterable[bytes], now: Instant
    ) -> str | None:
        if isinstance(message, mobility.BindingAcknowledgement | mobility.HomeAgentSwitch):
            # Section 9.5.4: to the home address, by a type 2 routing header while away.
            if self._settings.home_address not in (event.home_address, event.destination):
                return "not_for_home_address"
            refusals = [self._security.refusal(event.payload, address) for address in care_of_addresses]
            if not refusals:
                return "unexpected"
            if None not in refusals:
                return refusals[0]
            return self._switch_refusal(message, now) if isinstance(message, mobility.HomeAgentSwitch) else None
        if isinstance(message, mobility.BindingRefreshRequest | mobility.BindingError):
            return None
        return "not_for_a_mobile_node"

    def _switch_refusal(self, message: mobility.HomeAgentSwitch, now: Instant) -> str | None:
        """A switch has no sequence number: its timestamp alone tells a replay."""
        if any(not ipv6.is_unicast_routable(agent) for agent in message.home_agents):
            return "switch_to_no_unicast_address"
        if not self._security.active:
            return None
        timestamp = timestamp_of(message)
        if timestamp is None:
            return "switch_without_timestamp"
        if timestamp <= self._last_switch:
            return "switch_replayed"
        if not self._clock.is_near(timestamp, now, self._settings.timestamp_window_s):
            return "switch_timestamp_out_of_window"
        self._last_switch = timestamp
        return None
