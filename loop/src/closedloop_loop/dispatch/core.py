"""The dispatcher as a state machine. No I/O.

    Arrived(onsets) --> Consult --> Seen --> Settled(onsets): durable in the journal
                           ^          |
                           |          +--> HandOn(operation) --> Handed --> claimed by whoever carries it out, or handed on again
                           +-- time, or what other processes have written

Handed on at least once, claimed once: an operation that is due goes out when it is seen, and again when it has not been claimed for a
while, has lost its actor, or needs another attempt. Nothing is remembered over a restart, as all that counts is in the journal: whatever is
due then goes out anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from closedloop_loop.clock import MICROSECONDS, Instant
from closedloop_loop.onset import Onset
from closedloop_loop.operations import schedule
from closedloop_loop.operations.model import Operation, State

POLL_BUSY_S: Final = 0.1
"""How soon what playbooks have written is seen, while operations wait or run."""
POLL_IDLE_S: Final = 1.0
RETRY_S: Final = 1.0
"""How soon a journal that cannot be used is tried again."""
SOON_S: Final = 0.001
"""Not at once: a clock that was set back must not make it spin."""
CLAIM_WITHIN_S: Final = 5.0
"""An operation that nobody has claimed so long after it was handed on is handed on again."""
MAX_ONSETS: Final = 64
"""In one consultation, so that one that waits for the disk does not hold up the others for long."""

# --- inputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrived:
    """What analytics tells, in its order. accepted_us: when the event behind an onset was durable, by request id, where there is one."""

    onsets: list[Onset]
    accepted_us: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """Answer to Consult: all was done; `opened` are the journal's open operations after it, by number."""

    opened: list[Operation]


@dataclass(frozen=True, slots=True)
class Failed:
    """Answer to Consult: the journal cannot be used. Any part of it may have been done."""


@dataclass(frozen=True, slots=True)
class Handed:
    """Answer to HandOn: it has been taken."""

    operation: Operation


Input: TypeAlias = Arrived | Seen | Failed | Handed

# --- actions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Consult:
    """Ask the journal: sweep if told, submit these onsets in order, then list what is open. Answer with Seen or Failed. One at a time.
    accepted_us: as in Arrived, of all whose onsets wait."""

    onsets: list[Onset]
    sweep: bool
    accepted_us: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HandOn:
    """Give the operation to whoever carries it out. Answer with Handed."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class Settled:
    """The oldest `onsets` of those that have arrived are durable."""

    onsets: int


Action: TypeAlias = Consult | HandOn | Settled

_Key: TypeAlias = tuple[str, int]
"""Request id and the token of the latest claim: something new is to be handed on when it changes."""


def _key(operation: Operation) -> _Key:
    return operation.request_id, operation.token


@dataclass(slots=True)
class _UnderWay:
    arrived: int
    """How many of the consultation's onsets are new ones."""


@dataclass(slots=True)
class Dispatcher:
    """Feed `handle` and `tick`; carry out what they return, in order."""

    shared: bool = False
    """Others do the same for the same journal, each for onsets of its own: what came by another is left to that one at first."""
    _arrived: deque[Onset] = field(default_factory=deque)
    _accepted_us: dict[str, int] = field(default_factory=dict)
    _opened: list[Operation] = field(default_factory=list)
    _under_way: _UnderWay | None = None
    _look_at: float = 0.0
    """Monotonic; the first look is due at once."""
    _blocked_until: float = 0.0
    _handed: dict[_Key, float | None] = field(default_factory=dict)
    """When it was taken; None while it is being handed on."""
    _own: set[str] = field(default_factory=set)
    """Request ids of onsets that have arrived here, where the journal is shared."""

    def handle(self, event: Input, now: Instant) -> list[Action]:
        actions: list[Action] = []
        match event:
            case Arrived():
                self._arrived.extend(event.onsets)
                self._accepted_us |= event.accepted_us
                if self.shared:
                    self._own.update(onset.request_id for onset in event.onsets)
            case Seen():
                actions += self._seen(event, now)
            case Failed():
                self._under_way = None
                self._look_at = self._blocked_until = now.mono + RETRY_S
            case Handed():
                if _key(event.operation) in self._handed:
                    self._handed[_key(event.operation)] = now.mono
        return actions + self._consult(now)

    def tick(self, now: Instant) -> list[Action]:
        return self._consult(now)

    def deadline(self) -> float | None:
        """Monotonic seconds; None while the journal is being asked."""
        if self._under_way is not None:
            return None
        return self._blocked_until if self._arrived else self._look_at

    @property
    def waiting(self) -> int:
        """Onsets that are not durable."""
        return len(self._arrived)

    def _consult(self, now: Instant) -> list[Action]:
        if self._under_way is not None or now.mono < self._blocked_until or not (self._arrived or now.mono >= self._look_at):
            return []
        fresh = [self._arrived[number] for number in range(min(len(self._arrived), MAX_ONSETS))]
        again = [known.onset for known in self._due_again(now)][:MAX_ONSETS]
        self._under_way = _UnderWay(len(fresh))
        return [Consult([*fresh, *again], schedule.overdue(self._opened, now.wall_us), dict(self._accepted_us))]

    def _seen(self, seen: Seen, now: Instant) -> list[Action]:
        assert self._under_way is not None, "Seen without a Consult"
        settled, self._under_way = self._under_way.arrived, None
        for _ in range(settled):
            self._accepted_us.pop(self._arrived.popleft().request_id, None)
        self._opened = seen.opened
        actions: list[Action] = [Settled(settled)] if settled else []
        keys = {_key(known) for known in seen.opened}
        self._handed = {key: at for key, at in self._handed.items() if key in keys or at is None}
        self._own &= {known.request_id for known in seen.opened} | {onset.request_id for onset in self._arrived}
        for known in schedule.due(seen.opened, now.wall_us):
            if known.state is State.PENDING and not known.outdated and self._is_to_go(known, now):
                self._handed[_key(known)] = None
                actions.append(HandOn(known))
        self._look_at = self._next_look(now)
        return actions

    def _due_again(self, now: Instant) -> list[Operation]:
        """Those whose onsets are to be submitted again."""
        return [known for known in schedule.due(self._opened, now.wall_us) if schedule.decides_again(known, now.wall_us)]

    def _is_to_go(self, known: Operation, now: Instant) -> bool:
        if _key(known) not in self._handed:
            if not self.shared or known.request_id in self._own:
                return True
            self._handed[_key(known)] = now.mono
        at = self._handed[_key(known)]
        return at is not None and now.mono >= at + CLAIM_WITHIN_S

    def _next_look(self, now: Instant) -> float:
        busy = any(known.state in (State.PENDING, State.RUNNING) for known in self._opened)
        if self._due_again(now):
            return now.mono + SOON_S
        at = now.mono + (POLL_BUSY_S if busy else POLL_IDLE_S)
        limit_us = schedule.deadline(self._opened)
        if limit_us is not None:
            at = min(at, now.mono + max(SOON_S, (limit_us - now.wall_us) / MICROSECONDS))
        return at
