"""The mobile node's half of RFC 4285: signing Binding Updates, checking what comes back, and the clock of the timestamps."""

from __future__ import annotations

from closedloop_nf.mobile_node.settings import SecurityAssociation
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import authentication, mobility
from closedloop_nf.wire.mobility_options import ReplayProtection

_COUNTED = 1 << 12
"""The lowest bits of a timestamp, less than a microsecond, count the messages."""


class ReplayClock:
    """Timestamps that grow with every message and follow the home agent's clock once it has told its time (RFC 4285 section 6).

    A home agent whose clock is behind refuses what was sent before, so its time begins a new row below the earlier one. Still no two
    messages have the same timestamp: an answer to one must not count for the other.
    """

    def __init__(self) -> None:
        self.offset_s = 0.0
        self._last = 0
        self._messages = 0

    def stamp(self, now: Instant) -> int:
        """A timestamp (64-bit NTP) unlike all before, and greater than those since the home agent has told its time."""
        microsecond = max(authentication.ntp_timestamp(now.wall + self.offset_s) // _COUNTED, self._last // _COUNTED + 1)
        self._messages = (self._messages + 1) % _COUNTED
        self._last = microsecond * _COUNTED + self._messages
        return self._last

    def adopt(self, timestamp: int, now: Instant) -> None:
        """Take the home agent's time from an authenticated acknowledgement with status 144."""
        self.offset_s = authentication.unix_seconds(timestamp) - now.wall
        self._last = timestamp

    def is_near(self, timestamp: int, now: Instant, window_s: float) -> bool:
        return abs(authentication.unix_seconds(timestamp) - (now.wall + self.offset_s)) <= window_s


class Security:
    """Signs and verifies with the one mobility security association; does nothing where there is none."""

    def __init__(self, association: SecurityAssociation | None, home_address: bytes) -> None:
        self._association = association
        self._home_address = home_address

    @property
    def active(self) -> bool:
        return self._association is not None

    def sign(self, update: mobility.BindingUpdate, care_of_address: bytes) -> bytes:
        """The message as octets, checksum still zero."""
        if self._association is None:
            return mobility.build_mobility(update)
        return authentication.authenticate(
            update,
            care_of_address=care_of_address,
            home_address=self._home_address,
            spi=self._association.spi,
            key=self._association.key,
        )

    def refusal(self, payload: bytes, care_of_address: bytes) -> str | None:
        """Why a received message is not genuine (a word for a counter); None when it is, or when nothing is checked."""
        association = self._association
        if association is None:
            return None
        result = authentication.verify(
            payload,
            care_of_address=care_of_address,
            home_address=self._home_address,
            key_for_spi=lambda spi: association.key if spi == association.spi else None,
        )
        return None if result is authentication.VerifyResult.OK else f"authentication_{result.name.lower()}"


def timestamp_of(message: mobility.BindingAcknowledgement | mobility.HomeAgentSwitch) -> int | None:
    """The replay protection timestamp a message carries."""
    return next((option.timestamp for option in message.options if isinstance(option, ReplayProtection)), None)
