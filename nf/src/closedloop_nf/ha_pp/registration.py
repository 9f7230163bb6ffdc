"""From a Binding Update to its acknowledgement: judge, duplicate address detection, HA-B's durable yes, kernel, reply."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from closedloop_nf.ha_pp import replies
from closedloop_nf.ha_pp.binding_update import Accept, Discard, Reject, judge
from closedloop_nf.ha_pp.events import DadDone, SendLink, StartDad
from closedloop_nf.ha_pp.ownership import Ownership
from closedloop_nf.ha_pp.state import State
from closedloop_nf.link.messages import Binding, Register, Registered
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import mobility
from closedloop_nf.wire.status import BindingStatus

MAX_WAITING = 20_000
"""Registrations waiting for HA-B or for duplicate address detection; more are dropped and the mobile nodes try again."""
REFRESH_REQUEST_SHARE = 0.9
"""Share of the lifetime after which a Binding Refresh Request is sent (RFC 6275 section 9.5.5)."""


class _Waiting(NamedTuple):
    accept: Accept
    destination: bytes


class Registrar:
    """Binding Updates in, acknowledgements out."""

    def __init__(self, state: State, ownership: Ownership) -> None:
        self._state, self._ownership = state, ownership
        self._transaction = 0
        self._at_backend: dict[int, _Waiting] = {}
        self._in_flight: set[tuple[bytes, int, int]] = set()
        self._in_dad: dict[bytes, _Waiting] = {}
        self._refresh: list[tuple[float, bytes]] = []
        self._refresh_at: dict[bytes, float] = {}

    def deadline(self) -> float | None:
        return self._refresh[0][0] if self._refresh else None

    def tick(self, now: Instant) -> None:
        """Ask mobile nodes whose lifetime nears its end to refresh."""
        while self._refresh and self._refresh[0][0] <= now.mono:
            _due, home_address = heapq.heappop(self._refresh)
            due = self._refresh_at.get(home_address)
            if due is None:
                continue
            if due > now.mono:
                heapq.heappush(self._refresh, (due, home_address))
                continue
            del self._refresh_at[home_address]
            row = self._state.known.bindings.get(home_address)
            if row is not None and home_address in self._state.served and self._state.serving(now) and self._state.address:
                self._state.counters["binding_refresh_requests_sent"] += 1
                self._state.out.append(
                    replies.binding_refresh_request(
                        source=self._state.address, home_address=home_address, care_of_address=row.care_of_address
                    )
                )

    def binding_update(
        self,
        update: mobility.BindingUpdate,
        data: bytes,
        source: bytes,
        destination: bytes,
        home_address_option: bytes | None,
        now: Instant,
    ) -> None:
        state = self._state
        state.counters["binding_updates_received"] += 1
        verdict = judge(
            update,
            data,
            source,
            home_address_option,
            policy=state.policy(),
            wall=now.wall,
            binding_of=state.known.bindings.get,
            key_of=state.known.key,
        )
        if isinstance(verdict, Discard):
            state.counters["discarded_" + verdict.reason] += 1
        elif isinstance(verdict, Reject):
            self._reject(verdict, destination, now)
        elif (verdict.home_address, verdict.sequence, verdict.timestamp) in self._in_flight:
            state.counters["discarded_duplicate"] += 1
        elif len(self._at_backend) + len(self._in_dad) >= MAX_WAITING:
            state.counters["discarded_overload"] += 1
        elif verdict.needs_dad and state.parameters.detect_duplicates:
            begin = verdict.home_address not in self._in_dad
            self._in_dad[verdict.home_address] = _Waiting(verdict, destination)
            if begin:
                state.out.append(StartDad(verdict.home_address))
        else:
            self._register(_Waiting(verdict, destination))

    def dad_done(self, result: DadDone, now: Instant) -> None:
        waiting = self._in_dad.pop(result.address, None)
        if waiting is None:
            return
        if result.unique:
            self._register(waiting)
        else:
            accept = waiting.accept
            self._reject(
                Reject(
                    BindingStatus.DUPLICATE_ADDRESS,
                    accept.sequence,
                    accept.home_address,
                    accept.care_of_address,
                    accept.reply_to,
                    accept.spi,
                    accept.timestamp,
                ),
                waiting.destination,
                now,
            )

    def registered(self, answer: Registered, now: Instant) -> bytes | None:
        """HA-B's answer. Below 128 the registration is durable and its home address is returned."""
        waiting = self._at_backend.pop(answer.transaction, None)
        if waiting is None:
            return None
        accept = waiting.accept
        self._in_flight.discard((accept.home_address, accept.sequence, accept.timestamp))
        if answer.status >= 128:
            timestamp = answer.timestamp + 1 if answer.status == BindingStatus.ID_MISMATCH else accept.timestamp
            self._reject(
                Reject(answer.status, answer.sequence, accept.home_address, accept.care_of_address, accept.reply_to, accept.spi, timestamp),
                waiting.destination,
                now,
            )
            return None
        row = Binding(
            accept.home_address,
            accept.care_of_address,
            accept.sequence,
            answer.lifetime_s,
            now.wall + answer.lifetime_s,
            accept.flags,
            self._state.parameters.name,
            self._state.epoch,
            accept.timestamp,
            answer.revision,
        )
        if answer.lifetime_s:
            self._ownership.serve(row)
            self._plan_refresh(row, now)
        else:
            self._state.known.learn(row)
            self._ownership.stop_serving([h for h in (accept.home_address,) if h in self._state.served])
            self._refresh_at.pop(accept.home_address, None)
        self._state.counters["status_0"] += 1
        if accept.acknowledge and self._state.serving(now):
            self._acknowledge(
                accept, waiting.destination, int(BindingStatus.ACCEPTED), accept.sequence, answer.lifetime_s, accept.timestamp
            )
        return accept.home_address

    def link_closed(self) -> None:
        """Nothing that was asked will be answered; the mobile nodes ask again."""
        self._state.counters["discarded_link_closed"] += len(self._at_backend)
        self._at_backend.clear()
        self._in_flight.clear()

    def _register(self, waiting: _Waiting) -> None:
        accept = waiting.accept
        self._transaction += 1
        self._at_backend[self._transaction] = waiting
        self._in_flight.add((accept.home_address, accept.sequence, accept.timestamp))
        self._state.out.append(
            SendLink(
                Register(
                    self._transaction,
                    accept.home_address,
                    accept.care_of_address,
                    accept.sequence,
                    accept.lifetime_s,
                    accept.flags,
                    accept.timestamp,
                )
            )
        )

    def _reject(self, reject: Reject, destination: bytes, now: Instant) -> None:
        state = self._state
        state.counters[f"status_{int(reject.status)}"] += 1
        if reject.spi is None and not state.unsolicited.take(now):
            state.counters["rejects_suppressed"] += 1
            return
        key = None if reject.spi is None else state.known.key(reject.home_address, reject.spi)
        state.out.append(
            replies.binding_acknowledgement(
                source=destination,
                reply_to=reject.reply_to,
                home_address=reject.home_address,
                care_of_address=reject.care_of_address,
                status=reject.status,
                sequence=reject.sequence,
                lifetime_s=0,
                timestamp=reject.timestamp,
                spi=reject.spi,
                key=key,
            )
        )

    def _acknowledge(self, accept: Accept, source: bytes, status: int, sequence: int, lifetime_s: int, timestamp: int) -> None:
        key = None if accept.spi is None else self._state.known.key(accept.home_address, accept.spi)
        self._state.out.append(
            replies.binding_acknowledgement(
                source=source,
                reply_to=accept.reply_to,
                home_address=accept.home_address,
                care_of_address=accept.care_of_address,
                status=status,
                sequence=sequence,
                lifetime_s=lifetime_s,
                timestamp=timestamp,
                spi=accept.spi,
                key=key,
            )
        )

    def _plan_refresh(self, row: Binding, now: Instant) -> None:
        due = now.mono + row.lifetime_s * REFRESH_REQUEST_SHARE
        if row.home_address not in self._refresh_at:
            heapq.heappush(self._refresh, (due, row.home_address))
        self._refresh_at[row.home_address] = due
