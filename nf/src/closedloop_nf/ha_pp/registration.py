"""From a Binding Update to its acknowledgement: judge, duplicate address detection, HA-B's durable yes, kernel, reply."""

from __future__ import annotations

from typing import NamedTuple

from closedloop_nf.ha_pp import replies
from closedloop_nf.ha_pp.binding_update import Accept, Discard, Reject, judge, mismatch_timestamp, sequence_is_newer
from closedloop_nf.ha_pp.events import DadDone, SendLink, StartDad
from closedloop_nf.ha_pp.ownership import Ownership
from closedloop_nf.ha_pp.state import State
from closedloop_nf.link.messages import Binding, Register, Registered
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import mobility
from closedloop_nf.wire.status import BindingStatus

MAX_WAITING = 20_000
"""Registrations waiting for HA-B or for duplicate address detection; more are answered 130, insufficient resources."""


class _Waiting(NamedTuple):
    accept: Accept
    destination: bytes
    """The home agent address that the Binding Update was sent to, source of its acknowledgement."""


class _Detection:
    """Duplicate address detection for one home address and, with the L bit, its link-local sibling."""

    def __init__(self, waiting: _Waiting) -> None:
        self.waiting = waiting
        self.open = set(waiting.accept.needs_dad)


class Registrar:
    """Binding Updates in, acknowledgements out."""

    def __init__(self, state: State, ownership: Ownership) -> None:
        self._state, self._ownership = state, ownership
        self._transaction = 0
        self._at_backend: dict[int, _Waiting] = {}
        self._in_flight: set[tuple[bytes, int, int]] = set()
        self._detections: dict[bytes, _Detection] = {}
        """By home address."""
        self._tested: dict[bytes, bytes] = {}
        """Address under test -> home address that it is tested for."""

    @property
    def waiting(self) -> int:
        return len(self._at_backend) + len(self._detections)

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
        verdict = judge(update, data, source, home_address_option, policy=state.policy(), wall=now.wall, known=state.known)
        if isinstance(verdict, Discard):
            state.counters["discarded_" + verdict.reason] += 1
        elif isinstance(verdict, Reject):
            self._reject(verdict, destination, now)
        elif not state.synced:
            # Nobody could make it durable; the mobile node repeats it, here or at the next home agent.
            state.counters["discarded_backend_unreachable"] += 1
        elif (verdict.home_address, verdict.sequence, verdict.timestamp) in self._in_flight:
            state.counters["discarded_duplicate"] += 1
        elif self.waiting >= MAX_WAITING:
            self._refuse(verdict, destination, BindingStatus.INSUFFICIENT_RESOURCES, "overload", now)
        elif verdict.needs_dad and state.parameters.detect_duplicates:
            self._detect(_Waiting(verdict, destination), now)
        else:
            self._register(_Waiting(verdict, destination))

    def dad_done(self, result: DadDone, now: Instant) -> None:
        """Answer to StartDad."""
        home_address = self._tested.pop(result.address, None)
        detection = self._detections.get(home_address) if home_address is not None else None
        if home_address is None or detection is None:
            return
        detection.open.discard(result.address)
        if result.unique and detection.open:
            return
        del self._detections[home_address]
        for address in detection.open:
            self._tested.pop(address, None)
        accept, destination = detection.waiting
        if not self._state.serving(now) or not self._state.synced:
            self._state.counters["discarded_no_longer_serving"] += 1
        elif result.unique:
            self._register(detection.waiting)
        else:
            self._refuse(accept, destination, BindingStatus.DUPLICATE_ADDRESS, "duplicate_address", now)

    def registered(self, answer: Registered, now: Instant) -> bytes | None:
        """HA-B's answer. Below 128 the registration is durable and its home address is returned."""
        waiting = self._at_backend.pop(answer.transaction, None)
        if waiting is None:
            self._state.counters["unknown_transactions"] += 1
            return None
        accept, destination = waiting
        self._in_flight.discard((accept.home_address, accept.sequence, accept.timestamp))
        if answer.status >= 128:
            timestamp = accept.timestamp
            if answer.status == BindingStatus.ID_MISMATCH and timestamp:
                timestamp = mismatch_timestamp(timestamp, answer.timestamp, now.wall)
            self._reject(
                Reject(
                    answer.status,
                    "backend",
                    answer.sequence,
                    accept.home_address,
                    accept.care_of_address,
                    accept.source,
                    accept.spi,
                    timestamp,
                ),
                destination,
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
            self._ownership.serve(row, now)
        else:
            self._ownership.forget(row)
        if self._state.serving(now):
            self._acknowledge(accept, destination, answer.lifetime_s)
        return accept.home_address

    def link_closed(self) -> None:
        """Nothing that was asked will be answered; the mobile nodes ask again."""
        self._state.counters["discarded_link_closed"] += len(self._at_backend)
        self._at_backend.clear()
        self._in_flight.clear()

    def _detect(self, waiting: _Waiting, now: Instant) -> None:
        """Test the addresses of a new binding; a newer Binding Update takes the place of the one that began the test."""
        state = self._state
        accept = waiting.accept
        before = self._detections.get(accept.home_address)
        if before is not None:
            newer = sequence_is_newer(accept.sequence, before.waiting.accept.sequence)
            if (
                newer
                and accept.timestamp >= before.waiting.accept.timestamp
                and set(accept.needs_dad) == set(before.waiting.accept.needs_dad)
            ):
                before.waiting = waiting
            else:
                state.counters["discarded_duplicate"] += 1
            return
        for address in accept.needs_dad:
            # Own proxy entries do not answer own solicitations: two home addresses with one link-local sibling show up here only.
            if address in self._tested or state.defended.get(address, accept.home_address) != accept.home_address:
                self._refuse(accept, waiting.destination, BindingStatus.DUPLICATE_ADDRESS, "duplicate_address", now)
                return
        self._detections[accept.home_address] = _Detection(waiting)
        for address in accept.needs_dad:
            self._tested[address] = accept.home_address
            state.out.append(StartDad(address))

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

    def _refuse(self, accept: Accept, destination: bytes, status: BindingStatus, reason: str, now: Instant) -> None:
        """Reject what had passed validation."""
        self._reject(
            Reject(
                status,
                reason,
                accept.sequence,
                accept.home_address,
                accept.care_of_address,
                accept.source,
                accept.spi,
                accept.timestamp,
            ),
            destination,
            now,
        )

    def _reject(self, reject: Reject, destination: bytes, now: Instant) -> None:
        state = self._state
        state.counters["rejected_" + reject.reason] += 1
        key = None if reject.spi is None else state.known.key(reject.home_address, reject.spi)
        if not (state.unauthenticated if key is None else state.signed).take(now):
            state.counters["answers_suppressed"] += 1
            return
        state.counters[f"status_{int(reject.status)}"] += 1
        state.out.append(
            replies.binding_acknowledgement(
                source=destination,
                destination=reject.reply_to,
                home_address=reject.home_address,
                care_of_address=reject.care_of_address,
                status=int(reject.status),
                sequence=reject.sequence,
                lifetime_s=0,
                timestamp=reject.timestamp,
                spi=reject.spi,
                key=key,
            )
        )

    def _acknowledge(self, accept: Accept, source: bytes, lifetime_s: int) -> None:
        """Whatever the A bit says (RFC 6275 sections 10.3.1 and 10.3.2)."""
        self._state.counters["status_0"] += 1
        self._state.out.append(
            replies.binding_acknowledgement(
                source=source,
                destination=accept.care_of_address if lifetime_s else accept.source,
                home_address=accept.home_address,
                care_of_address=accept.care_of_address,
                status=int(BindingStatus.ACCEPTED),
                sequence=accept.sequence,
                lifetime_s=lifetime_s,
                timestamp=accept.timestamp,
                spi=accept.spi,
                key=None if accept.spi is None else self._state.known.key(accept.home_address, accept.spi),
            )
        )
