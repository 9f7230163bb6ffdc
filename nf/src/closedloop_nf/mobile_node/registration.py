"""Home registration: Binding Update out, Binding Acknowledgement in (RFC 6275 sections 11.7.1, 11.7.3 and 11.8).

At most one Binding Update is outstanding. Every transmission has a new sequence number and a new timestamp, and only the acknowledgement
of the latest one counts. What an outcome means for the choice of the home agent is not decided here (core.py).
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from closedloop_nf.mobile_node.actions import Action, Emit, SendMobility
from closedloop_nf.mobile_node.security import ReplayClock, Security, timestamp_of
from closedloop_nf.mobile_node.settings import LIFETIME_UNIT_S, MAX_LIFETIME_S, Settings
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import mobility
from closedloop_nf.wire.mobility_options import AlternateCareOfAddress, BindingRefreshAdvice, MobilityOption, ReplayProtection, find_option
from closedloop_nf.wire.status import BindingStatus

REFRESH_SHARE = 0.8
"""Without advice a binding is refreshed after this share of its lifetime, so that several retransmissions fit before it ends."""
REFRESH_JITTER = 0.05
"""Refreshes come up to this share early: a thousand nodes that moved together shall not refresh together."""
RATE_WINDOW_S = 1.0
QUICK_RETRIES = 2
"""Answers 135 and 144 are followed by a new Binding Update at once, but only this often in a row."""
_SPACE = 1 << 16


class Target(NamedTuple):
    """What is to be registered. lifetime_s 0 or care-of address = home address deletes the binding (section 11.5.5)."""

    home_agent: bytes
    care_of_address: bytes
    lifetime_s: int
    valid_until: float | None = None
    """Monotonic end of what the binding is made of, the home address or the care-of address; None: they have none."""


class Bound(NamedTuple):
    """A binding that a home agent has acknowledged. Times are monotonic seconds."""

    home_agent: bytes
    care_of_address: bytes
    lifetime_s: int
    expires_at: float
    refresh_at: float


@dataclass(slots=True)
class Pending:
    """The outstanding Binding Update. `due` is when the next transmission is, or when this one counts as unanswered."""

    target: Target
    timeout_s: float
    due: float
    sequence: int = -1
    """-1 until the first transmission."""
    lifetime_s: int = 0
    """Asked for by the last transmission, whole units."""
    timestamp: int = 0
    sent_at: float = 0.0
    transmissions: int = 0
    waiting_for_rate: bool = False
    quick_retries: int = 0


class Accepted(NamedTuple):
    """The home agent took the registration. prefix_discovery: it asks for a mobile prefix solicitation (status 1)."""

    bound: Bound
    prefix_discovery: bool


class Deregistered(NamedTuple):
    home_agent: bytes


class Rejected(NamedTuple):
    """The home agent refused. Without another `aim` or `next_round` the pending update goes on with back-off."""

    status: int


class Unanswered(NamedTuple):
    """The Binding Update and its retransmissions went unanswered."""

    home_agent: bytes


class Expired(NamedTuple):
    bound: Bound


class RefreshDue(NamedTuple):
    """The binding nears its end, or has just expired."""

    bound: Bound


class Ignored(NamedTuple):
    """The acknowledgement changes nothing. reason: a word for a counter."""

    reason: str


Outcome = Accepted | Deregistered | Rejected | Unanswered | Expired | RefreshDue | Ignored


class Registration:
    """One home address's entry of the Binding Update List (RFC 6275 section 11.1)."""

    def __init__(self, settings: Settings, security: Security, clock: ReplayClock, rng: random.Random) -> None:
        self._settings = settings
        self._timers = settings.timers
        self._security = security
        self._clock = clock
        self._rng = rng
        self.sequence = rng.randrange(_SPACE)
        self.bound: Bound | None = None
        self.pending: Pending | None = None
        self._round_timeout_s = 0.0
        """Least first time-out: 0 in the first round over the home agents."""
        self._keep_up = False
        """Whether a binding that nears its end is refreshed without being asked."""
        self._sent: dict[bytes, deque[float]] = {}

    def aim(self, target: Target, now: Instant, *, same_round: bool = False) -> list[Action]:
        """Register `target` from now on, whatever was pending; the first Binding Update leaves at once unless the rate limit forbids.

        same_round: another home agent's turn after a failure; otherwise the back-off starts anew.
        """
        if not same_round:
            self._round_timeout_s = 0.0
        initial = self._timers.first_bindack_timeout_s if self.bound is None else self._timers.initial_bindack_timeout_s
        self.pending = Pending(target, max(initial, self._round_timeout_s), now.mono)
        self._keep_up = True
        return self._transmit(self.pending, now)

    def next_round(self, target: Target, now: Instant, *, wait: bool) -> list[Action]:
        """All home agents have failed: begin again with `target`, where the back-off has come to. From now on each gets one transmission.

        wait: the last one answered (with a refusal), so the next transmission is not yet due.
        """
        if self.pending is not None:
            self._round_timeout_s = min(self.pending.timeout_s * 2, self._timers.max_bindack_timeout_s)
        actions = self.aim(target, now, same_round=True) if not wait else []
        if wait:
            self.pending = Pending(target, self._round_timeout_s, now.mono + self._round_timeout_s)
        return actions

    def cancel(self) -> None:
        """Nothing is sent any more, until `aim`; a binding stays until it expires."""
        self.pending = None
        self._keep_up = False

    def forget(self) -> None:
        self.cancel()
        self.bound = None

    def outlasts(self, end: float | None) -> bool:
        """Whether there is a binding beyond `end` of its care-of address, and no update on its way that shortens it."""
        return self.pending is None and self.bound is not None and end is not None and self.bound.expires_at > end

    def hasten(self, sequence: int, now: Instant) -> None:
        """The network said that the outstanding Binding Update was not delivered: do not wait for its time-out."""
        pending = self.pending
        if pending is not None and pending.sequence == sequence and not pending.waiting_for_rate:
            pending.due = now.mono

    def tick(self, now: Instant) -> tuple[list[Action], list[Outcome]]:
        """Retransmit, or tell what is due. Unanswered is followed by `aim` or `next_round`, RefreshDue by `aim`."""
        outcomes: list[Outcome] = []
        last = self.bound
        if last is not None and last.expires_at <= now.mono:
            outcomes.append(Expired(last))
            self.bound = None
        pending = self.pending
        if pending is None:
            if last is None or not self._keep_up or last.refresh_at > now.mono:
                return [], outcomes
            return [], [*outcomes, RefreshDue(last)]
        if pending.due > now.mono:
            return [], outcomes
        allowed = 0 if self._round_timeout_s else self._settings.failover_after
        if not pending.waiting_for_rate and pending.transmissions > allowed:
            return [], [*outcomes, Unanswered(pending.target.home_agent)]
        return self._transmit(pending, now), outcomes

    def deadline(self) -> float | None:
        times = [] if self.pending is None else [self.pending.due]
        if self.bound is not None:
            times.append(self.bound.expires_at)
            if self.pending is None and self._keep_up:
                times.append(self.bound.refresh_at)
        return min(times, default=None)

    def acknowledged(self, ack: mobility.BindingAcknowledgement, source: bytes, now: Instant) -> tuple[list[Action], Outcome]:
        """A genuine Binding Acknowledgement from `source` (section 11.7.3)."""
        pending = self.pending
        if pending is None or pending.sequence < 0:
            return [], Ignored("acknowledgement_unexpected")
        if source != pending.target.home_agent:
            return [], Ignored("acknowledgement_from_other_node")
        if ack.status == BindingStatus.SEQUENCE_OUT_OF_WINDOW:
            return self._resynchronise(pending, ack, now)
        if ack.sequence != pending.sequence:
            return [], Ignored("acknowledgement_of_other_sequence")
        if ack.status == BindingStatus.ID_MISMATCH:
            return self._adopt_time(pending, ack, now)
        if not self._echoes(pending, ack):
            return [], Ignored("acknowledgement_timestamp")
        if ack.status >= 128:
            return self._rejected(pending, ack.status, now)
        return self._accepted(pending, ack, now)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _accepted(self, pending: Pending, ack: mobility.BindingAcknowledgement, now: Instant) -> tuple[list[Action], Outcome]:
        target = pending.target
        if self._deletes(target):
            self.forget()
            return [], Deregistered(target.home_agent)
        lifetime = min(ack.lifetime * LIFETIME_UNIT_S, pending.lifetime_s)
        if lifetime == 0:
            return self._rejected(pending, BindingStatus.REASON_UNSPECIFIED, now)
        self.pending = None
        # The lifetime counts from the sending of the update (section 11.7.3), which is before the home agent's own count began.
        refresh = lifetime * REFRESH_SHARE
        advice = find_option(ack.options, BindingRefreshAdvice)
        if advice is not None and 0 < advice.interval * LIFETIME_UNIT_S < lifetime:
            refresh = advice.interval * LIFETIME_UNIT_S
        refresh *= 1 - REFRESH_JITTER * self._rng.random()
        bound = Bound(target.home_agent, target.care_of_address, lifetime, pending.sent_at + lifetime, pending.sent_at + refresh)
        self.bound = bound
        return [], Accepted(bound, ack.status == BindingStatus.ACCEPTED_PREFIX_DISCOVERY)

    def _rejected(self, pending: Pending, status: int, now: Instant) -> tuple[list[Action], Outcome]:
        if self._deletes(pending.target) and status == BindingStatus.NOT_HOME_AGENT:
            # The home agent has no such binding (section 10.3.2): what was asked for is so.
            self.forget()
            return [], Deregistered(pending.target.home_agent)
        pending.due = now.mono + pending.timeout_s
        # This number is answered: a second acknowledgement of it is a duplicate.
        pending.sequence = -1
        return [], Rejected(status)

    def _resynchronise(self, pending: Pending, ack: mobility.BindingAcknowledgement, now: Instant) -> tuple[list[Action], Outcome]:
        """Status 135: the acknowledgement carries the last sequence number that the home agent accepted."""
        if not self._echoes(pending, ack) or 0 < (pending.sequence - ack.sequence) % _SPACE < _SPACE // 2:
            # About an earlier update: by that number the outstanding one is inside the window.
            return [], Ignored("acknowledgement_out_of_window_stale")
        self.sequence = ack.sequence
        return self._retry_quickly(pending, now), Ignored("sequence_resynchronised")

    def _adopt_time(self, pending: Pending, ack: mobility.BindingAcknowledgement, now: Instant) -> tuple[list[Action], Outcome]:
        """Status 144: the acknowledgement carries the home agent's time. Only believed when it is authenticated."""
        timestamp = timestamp_of(ack)
        if timestamp is None or not self._security.active:
            return self._rejected(pending, ack.status, now)
        self._clock.adopt(timestamp, now)
        return self._retry_quickly(pending, now), Ignored("time_adopted")

    def _retry_quickly(self, pending: Pending, now: Instant) -> list[Action]:
        pending.quick_retries += 1
        pending.sequence = -1
        if pending.quick_retries > QUICK_RETRIES:
            pending.due = now.mono + pending.timeout_s
            return []
        # The home agent is there: this is no unanswered transmission, so the time-out does not double.
        pending.transmissions = 0
        return self._transmit(pending, now)

    def _deletes(self, target: Target) -> bool:
        return target.lifetime_s == 0 or target.care_of_address == self._settings.home_address

    def _echoes(self, pending: Pending, ack: mobility.BindingAcknowledgement) -> bool:
        """Our home agents send the update's timestamp back; RFC 4285 leaves that open, so an answer without one passes."""
        timestamp = timestamp_of(ack)
        return timestamp is None or timestamp == pending.timestamp

    # --- sending -----------------------------------------------------------------------------------------------------

    def _transmit(self, pending: Pending, now: Instant) -> list[Action]:
        earliest = self._rate_allows_at(pending.target.home_agent, now.mono)
        pending.waiting_for_rate = earliest > now.mono
        if pending.waiting_for_rate:
            pending.due = earliest
            return []
        if pending.transmissions:
            pending.timeout_s = min(pending.timeout_s * 2, self._timers.max_bindack_timeout_s)
        self.sequence = (self.sequence + 1) % _SPACE
        pending.sequence = self.sequence
        pending.lifetime_s = self._lifetime_s(pending.target, now)
        pending.timestamp = self._clock.stamp(now)
        pending.sent_at = now.mono
        pending.due = now.mono + pending.timeout_s
        pending.transmissions += 1
        self._sent.setdefault(pending.target.home_agent, deque()).append(now.mono)
        return [self._update(pending), self._report(pending, now)]

    def _update(self, pending: Pending) -> SendMobility:
        target = pending.target
        home = self._settings.home_address
        at_home = target.care_of_address == home
        options: list[MobilityOption] = []
        if self._settings.alternate_care_of_address and not at_home:
            options.append(AlternateCareOfAddress(target.care_of_address))
        if self._security.active:
            options.append(ReplayProtection(pending.timestamp))
        update = mobility.BindingUpdate(
            sequence=pending.sequence,
            acknowledge=True,
            home_registration=True,
            link_local=self._settings.link_local,
            key_management=False,
            lifetime=pending.lifetime_s // LIFETIME_UNIT_S,
            options=tuple(options),
        )
        data = self._security.sign(update, target.care_of_address)
        # The checksum's source is the home address, which the Home Address option carries (section 6.1.1).
        sealed = mobility.seal(data, home, target.home_agent)
        return SendMobility(target.care_of_address, target.home_agent, None if at_home else home, sealed)

    def _report(self, pending: Pending, now: Instant) -> Emit:
        target = pending.target
        return Emit(
            now,
            "bu_sent",
            {
                "home_agent": target.home_agent,
                "care_of_address": target.care_of_address,
                "sequence": pending.sequence,
                "lifetime_s": pending.lifetime_s,
                "transmission": pending.transmissions,
            },
        )

    def _lifetime_s(self, target: Target, now: Instant) -> int:
        """To ask for: not beyond the remaining valid lifetime of either address, and not 0, which would delete (section 11.7.1)."""
        if self._deletes(target):
            return 0
        lifetime: float = min(target.lifetime_s, MAX_LIFETIME_S)
        if target.valid_until is not None:
            lifetime = min(lifetime, target.valid_until - now.mono)
        return max(1, int(lifetime) // LIFETIME_UNIT_S) * LIFETIME_UNIT_S

    def _rate_allows_at(self, home_agent: bytes, mono: float) -> float:
        """When the next Binding Update to this home agent may leave: at most MAX_UPDATE_RATE in any second (section 11.8)."""
        sent = self._sent.get(home_agent)
        if sent is None:
            return mono
        while sent and sent[0] + RATE_WINDOW_S <= mono:
            sent.popleft()
        if not sent:
            del self._sent[home_agent]
            return mono
        return mono if len(sent) < self._timers.max_update_rate else sent[0] + RATE_WINDOW_S
