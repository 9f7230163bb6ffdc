"""The journal as its users see it: the state machine of core.py on a store. Each method is one durable transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from closedloop_loop.clock import MICROSECONDS, Instant
from closedloop_loop.onset import Onset
from closedloop_loop.operations import core, schedule
from closedloop_loop.operations.model import Operation, Refused, State, Terms
from closedloop_loop.operations.store.interface import Store
from closedloop_loop.operations.view import Step, View
from closedloop_loop.policy.decide import Decision
from closedloop_loop.policy.inventory import Inventory, Unreadable
from closedloop_loop.policy.model import Policy

LEASE_S: Final = 10.0
"""An actor that is not heard of for so long is taken for lost."""


class Journal:
    """Methods raise StoreError; what the journal refuses is an answer, not an exception. The arguments are those of core.py."""

    def __init__(self, store: Store, lease_s: float = LEASE_S, *, dry: bool = False) -> None:
        """dry: answer as if it were written, and write nothing."""
        self._store, self._dry = store, dry
        self._lease_us = round(lease_s * MICROSECONDS)

    def submit(
        self, policy: Policy, onset: Onset, inventory: Inventory | Unreadable | None, now: Instant, accepted_us: int | None = None
    ) -> Operation | Refused:
        """Decide an onset, or take note of its end."""
        return self._step(now, lambda view: core.submit(view, policy, onset, inventory, now.wall_us, accepted_us))

    def order(self, onset: Onset, decision: Decision, terms: Terms, actor: str, now: Instant) -> Operation | Refused:
        """Become the one who carries out what was decided by hand; the answer has the fencing token."""
        return self._step(now, lambda view: core.order(view, onset, decision, terms, actor, self._lease_us, now.wall_us))

    def claim(self, request_id: str, actor: str, now: Instant) -> Operation | Refused:
        """Become the one who carries it out; the answer has the fencing token."""
        return self._step(now, lambda view: core.claim(view, request_id, actor, self._lease_us, now.wall_us))

    def renew(self, request_id: str, token: int, now: Instant) -> Operation | Refused:
        """Still at it; to be called at least every third of the lease."""
        return self._step(now, lambda view: core.renew(view, request_id, token, self._lease_us, now.wall_us))

    def lost(self, request_id: str, token: int, now: Instant) -> Operation | Refused:
        """The actor was seen to end; another may take over at once."""
        return self._step(now, lambda view: core.lost(view, request_id, token, now.wall_us))

    def stage(self, request_id: str, token: int, name: str, now: Instant) -> Operation | Refused:
        """Note that a stage has been reached; renews too."""
        return self._step(now, lambda view: core.stage(view, request_id, token, name, self._lease_us, now.wall_us))

    def finish(self, request_id: str, token: int, succeeded: bool, message: str, now: Instant) -> Operation | Refused:
        """The attempt is over."""
        return self._step(now, lambda view: core.finish(view, request_id, token, succeeded, message, now.wall_us))

    def acknowledge(self, request_id: str, now: Instant) -> Operation | Refused:
        """An operator has seen to a failure."""
        return self._step(now, lambda view: core.acknowledge(view, request_id, now.wall_us))

    def cancel(self, request_id: str, now: Instant) -> Operation | Refused:
        """An operator does not want it."""
        return self._step(now, lambda view: core.cancel(view, request_id, now.wall_us))

    def sweep(self, now: Instant) -> Sequence[Operation]:
        """Note whose actor is lost and what took too long; returns those. What a clock has written that was set back since is put right."""

        def work(view: View) -> tuple[Sequence[Operation], Sequence[Operation]]:
            swept = _written(core.sweep(_Today(view, now.wall_us), now.wall_us), now)
            done = {known.request_id for known in swept}
            stale = [known for known in view.open() if known.request_id not in done and schedule.set_back(known, now.wall_us)]
            return swept, [*swept, *_written([schedule.as_of_now(known, now.wall_us) for known in stale], now)]

        return self._store.transact(work)

    def opened(self) -> Sequence[Operation]:
        """Operations not at their end, by number."""
        return self._store.open()

    def due(self, now: Instant) -> list[Operation]:
        """PENDING: claim it and carry it out. DENIED, RETRYING, and PENDING that is outdated: submit its onset again."""
        return schedule.due(self._store.open(), now.wall_us)

    def deadline(self) -> float | None:
        """UNIX seconds at which to sweep and to ask what is due."""
        at_us = schedule.deadline(self._store.open())
        return None if at_us is None else at_us / MICROSECONDS

    def get(self, request_id: str) -> Operation | None:
        """One operation."""
        return self._store.get(request_id)

    def recent(self, limit: int = 100, state: State | None = None, target: str | None = None) -> list[Operation]:
        """The newest first."""
        return self._store.recent(limit, state, target)

    def _step(self, now: Instant, command: Callable[[View], Step]) -> Operation | Refused:
        def work(view: View) -> tuple[Operation | Refused, Sequence[Operation]]:
            step = command(_Today(view, now.wall_us))
            changed = [known for known in step.put if known != view.get(known.request_id)]
            put = {known.request_id: known for known in _written(changed, now)}
            answer = step.answer if isinstance(step.answer, Refused) else put.get(step.answer.request_id, step.answer)
            return answer, () if self._dry else list(put.values())

        return self._store.transact(work)


class _Today:
    """A view whose open operations have the times of the clock as it is now."""

    def __init__(self, view: View, now_us: int) -> None:
        self._view, self._now_us = view, now_us
        self.history, self.last_number, self.last_token = view.history, view.last_number, view.last_token

    def get(self, request_id: str) -> Operation | None:
        known = self._view.get(request_id)
        return None if known is None else schedule.as_of_now(known, self._now_us)

    def open(self) -> Sequence[Operation]:
        return [schedule.as_of_now(known, self._now_us) for known in self._view.open()]


def _written(operations: Sequence[Operation], now: Instant) -> list[Operation]:
    return [msgspec.structs.replace(known, written_us=now.wall_us) for known in operations]
