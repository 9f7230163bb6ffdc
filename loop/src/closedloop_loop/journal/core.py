"""The intake journal as a state machine: group commit, duplicates, order of delivery, limits. No I/O.

    Submit --> open group --Commit--> under way --Committed--> durable (ACCEPTED) --> window --take()--> consumer --Finished--> removed
                                         |                                             ^
                                         +--Failed--> forgotten (FAILED)     Read -----+  (what the window had no room for)

Ids rise by one; a group that failed leaves a gap. The window is the part of the backlog in memory; the rest stays in the store until there
is room.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from closedloop_loop.clock import Instant
from closedloop_loop.journal.messages import (
    Action,
    Answer,
    Commit,
    Committed,
    Delivery,
    Failed,
    Finished,
    Input,
    Loaded,
    Read,
    ReadFailed,
    Ready,
    Recovered,
    Refill,
    Submit,
    Verdict,
)

FINISH_DELAY_S: Final = 0.2
"""How long a finished event waits for a commit that goes out anyway before it causes one."""
READ_RETRY_S: Final = 1.0
READ_ROWS: Final = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """pending_octets: not yet durable; backlog_events: durable and not finished; window_*: of these, in memory; remember_events: keys kept
    to recognise duplicates."""

    pending_octets: int = 32 << 20
    backlog_events: int = 1_000_000
    window_events: int = 4096
    window_octets: int = 16 << 20
    remember_events: int = 100_000


@dataclass(slots=True)
class _Waiting:
    """A request in a group. on_previous: an event of it is in the group before as well."""

    request: int
    duplicates: int
    on_previous: bool


@dataclass(slots=True)
class _Group:
    rows: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    requests: list[_Waiting] = field(default_factory=list)
    octets: int = 0
    finished: int = 0
    forget: int = 0
    state: bytes | None = None


class JournalCore:
    def __init__(self, limits: Limits, recovered: Recovered) -> None:
        self._limits = limits
        self._next = recovered.last + 1
        self._recovered = recovered.last
        self._durable, self._read = recovered.last, recovered.finished
        self._backlog = recovered.backlog
        self._open = _Group()
        self._under_way: _Group | None = None
        self._ids = {key: number for number, key in recovered.keys}
        self._order = deque(recovered.keys)
        self._forget = 0
        self._window: deque[Delivery] = deque()
        self._window_octets = 0
        self._reading: Read | None = None
        self._read_again_at: float | None = None
        self._delivered: deque[int] = deque()
        self._done: set[int] = set()
        self._finished = self._finished_stored = recovered.finished
        self._finish_at: float | None = None
        self._state: bytes | None = None
        self._trim()

    # --- state for metrics and health --------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        """Durable events that are not finished."""
        return self._backlog

    @property
    def pending_octets(self) -> int:
        """Octets of events that are not durable yet."""
        return self._open.octets + (self._under_way.octets if self._under_way else 0)

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.pending_octets >= self._limits.pending_octets or self._expected_backlog() >= self._limits.backlog_events

    @property
    def idle(self) -> bool:
        """Nothing waits for the store."""
        return self._under_way is None and self._reading is None and not self._open.rows and not self._unstored()

    # --- the interface of every core ---------------------------------------------------------------------------------

    def start(self) -> list[Action]:
        """First actions: the backlog of the time before."""
        return self._refill()

    def handle(self, event: Input, now: Instant) -> list[Action]:
        match event:
            case Submit():
                return self._submit(event)
            case Committed():
                return self._committed(now)
            case Failed():
                return self._failed(now)
            case Loaded():
                return self._loaded(event)
            case ReadFailed():
                self._reading, self._read_again_at = None, now.mono + READ_RETRY_S
                return []
            case Finished():
                return self._finish(event, now)
            case Refill():
                return self._refill()

    def tick(self, now: Instant) -> list[Action]:
        actions: list[Action] = []
        if self._finish_at is not None and now.mono >= self._finish_at:
            self._finish_at = None
            actions += self._commit(force=True)
        if self._read_again_at is not None and now.mono >= self._read_again_at:
            self._read_again_at = None
            actions += self._refill()
        return actions

    def deadline(self) -> float | None:
        return min((at for at in (self._finish_at, self._read_again_at) if at is not None), default=None)

    def take(self, limit: int) -> list[Delivery]:
        """The next deliveries, oldest first; feed Refill afterwards."""
        taken = [self._window.popleft() for _ in range(min(limit, len(self._window)))]
        for delivery in taken:
            self._window_octets -= len(delivery.body)
            self._delivered.append(delivery.id)
        return taken

    # --- from the request to the disk --------------------------------------------------------------------------------

    def _submit(self, submit: Submit) -> list[Action]:
        fresh = {entry.key: entry for entry in submit.entries if entry.key not in self._ids}
        duplicates = len(submit.entries) - len(fresh)
        if fresh and self._no_room(fresh_events=len(fresh), octets=sum(len(entry.body) for entry in fresh.values())):
            return [Answer(submit.request, Verdict.BUSY)]
        previous = self._under_way.rows[-1][0] if self._under_way and self._under_way.rows else self._durable
        known = [self._ids[entry.key] for entry in submit.entries if entry.key in self._ids]
        on_previous = any(self._durable < number <= previous for number in known)
        on_open = any(number > previous for number in known)
        for key, entry in fresh.items():
            self._open.rows.append((self._next, key, entry.body))
            self._open.octets += len(entry.body)
            self._ids[key] = self._next
            self._order.append((self._next, key))
            self._next += 1
        self._trim()
        waiting = _Waiting(submit.request, duplicates, on_previous)
        if fresh or on_open:
            self._open.requests.append(waiting)
            return self._commit()
        if on_previous and self._under_way is not None:
            self._under_way.requests.append(waiting)
            return []
        return [Answer(submit.request, Verdict.ACCEPTED, duplicates)]

    def _no_room(self, fresh_events: int, octets: int) -> bool:
        # A single request larger than the limit passes when nothing else waits; else it could never be taken.
        pending = self.pending_octets
        return (pending > 0 and pending + octets > self._limits.pending_octets) or (
            self._expected_backlog() + fresh_events > self._limits.backlog_events
        )

    def _expected_backlog(self) -> int:
        return self._backlog + len(self._open.rows) + (len(self._under_way.rows) if self._under_way else 0)

    def _trim(self) -> None:
        while len(self._order) > self._limits.remember_events:
            number, key = self._order.popleft()
            if self._ids.get(key) == number:
                del self._ids[key]
            self._forget = number

    def _commit(self, *, force: bool = False) -> list[Action]:
        """Begin the next commit where none is under way and there is something to store."""
        if self._under_way is not None or not (self._open.requests or (force and self._unstored())):
            return []
        group, self._open = self._open, _Group()
        group.finished, group.forget = self._finished, self._forget
        group.state, self._state = self._state, None
        self._under_way = group
        return [Commit(group.rows, group.finished, group.forget, group.state)]

    def _committed(self, now: Instant) -> list[Action]:
        group = self._close_group()
        self._finished_stored = group.finished
        self._finish_at = now.mono + FINISH_DELAY_S if self._unstored() else None
        actions: list[Action] = [Answer(each.request, Verdict.ACCEPTED, each.duplicates) for each in group.requests]
        if group.rows:
            caught_up = self._read == self._durable and self._reading is None
            self._durable = group.rows[-1][0]
            self._backlog += len(group.rows)
            if caught_up and self._room_for(len(group.rows), group.octets):
                self._read = self._durable
                self._append([(number, body) for number, _, body in group.rows], now.wall_us)
                actions.append(Ready())
            else:
                actions += self._refill()
        return actions + self._commit()

    def _failed(self, now: Instant) -> list[Action]:
        group = self._close_group()
        for number, key, _ in group.rows:
            if self._ids.get(key) == number:
                del self._ids[key]
        lost = [each for each in self._open.requests if each.on_previous]
        self._open.requests = [each for each in self._open.requests if not each.on_previous]
        if self._state is None:
            self._state = group.state
        if self._unstored():
            self._finish_at = now.mono + FINISH_DELAY_S
        return [*(Answer(each.request, Verdict.FAILED) for each in (*group.requests, *lost)), *self._commit()]

    def _unstored(self) -> bool:
        """Whether the consumer's progress is ahead of the store's."""
        return self._finished > self._finished_stored or self._state is not None

    def _close_group(self) -> _Group:
        group, self._under_way = self._under_way, None
        assert group is not None, "Committed or Failed without a Commit"
        return group

    # --- from the disk to the consumer -------------------------------------------------------------------------------

    def _room_for(self, events: int, octets: int) -> bool:
        # An empty window takes any group, however large: what is in memory already costs nothing more.
        if not self._window:
            return True
        return len(self._window) + events <= self._limits.window_events and self._window_octets + octets <= self._limits.window_octets

    def _append(self, rows: list[tuple[int, bytes]], accepted_us: int | None = None) -> None:
        for number, body in rows:
            self._window.append(Delivery(number, body, number <= self._recovered, accepted_us))
            self._window_octets += len(body)

    def _refill(self) -> list[Action]:
        events = self._limits.window_events - len(self._window)
        octets = self._limits.window_octets - self._window_octets
        behind = self._read < self._durable
        # Half a window at least, so that a consumer slower than the senders does not cause a read for each event.
        enough = 2 * events >= self._limits.window_events and 2 * octets >= self._limits.window_octets
        if not behind or not enough or self._reading is not None or self._read_again_at is not None:
            return []
        self._reading = Read(self._read, self._durable, min(events, READ_ROWS), octets)
        return [self._reading]

    def _loaded(self, loaded: Loaded) -> list[Action]:
        assert self._reading is not None, "Loaded without a Read"
        self._read = loaded.rows[-1][0] if loaded.more else self._reading.through
        self._reading = None
        self._append(loaded.rows)
        return [*([Ready()] if loaded.rows else []), *self._refill()]

    def _finish(self, finished: Finished, now: Instant) -> list[Action]:
        self._done.update(finished.ids)
        while self._delivered and self._delivered[0] in self._done:
            self._finished = self._delivered.popleft()
            self._done.discard(self._finished)
            self._backlog -= 1
        if finished.state is not None:
            self._state = finished.state
        if finished.request is not None:
            self._open.requests.append(_Waiting(finished.request, 0, False))
            return self._commit()
        if self._unstored() and self._finish_at is None:
            self._finish_at = now.mono + FINISH_DELAY_S
        return []
