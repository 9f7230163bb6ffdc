"""The control loop's process: intake journal and analytics, joined as intake/pipeline.py joins them; onsets go to the dispatcher."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from closedloop_loop.analytics import engine
from closedloop_loop.intake import events
from closedloop_loop.intake.pipeline import LOOK_S, STATE_INTERVAL_S, TAKE
from closedloop_loop.journal.core import JournalCore, Limits
from closedloop_loop.journal.messages import (
    Action,
    Answer,
    Commit,
    Committed,
    Delivery,
    Failed,
    Finished,
    Loaded,
    Read,
    Ready,
    Refill,
    Submit,
)
from closedloop_loop.journal.messages import Verdict as Stored
from closedloop_loop.journal.shell import KEEP_RETRY_S
from closedloop_loop.onset import Onset
from closedloop_loop.policy.model import Policy
from closedloop_loop.records import Rejected, from_event
from closedloop_nf.ves.delivery import Verdict

from tests.simulation.closed_loop.disks import JournalDisk
from tests.simulation.closed_loop.dispatching import LoopClock
from tests.simulation.invariants import Broken
from tests.simulation.process import Process
from tests.simulation.world import World


class Collector:
    """`tell(onsets, told)`: `told` is called when they are durable elsewhere."""

    def __init__(
        self,
        world: World,
        clock: LoopClock,
        disk: JournalDisk,
        policy: Policy,
        tell: Callable[[list[Onset], Callable[[], None]], None],
        placed: Callable[[str], bool],
    ) -> None:
        self.world, self.clock, self.disk, self.policy = world, clock, disk, policy
        self.limits = Limits(
            backlog_events=world.rng.choice([120, 1_000_000]), window_events=world.rng.choice([2, 4096]), remember_events=1000
        )
        self.process: Process | None = None
        self.analytics: engine.Analytics
        self.answers: dict[str, int] = {}
        self._tell, self._placed = tell, placed
        self._replies: dict[int, tuple[Callable[[Verdict], None], list[bytes]]] = {}
        self._request = 0
        self._under_way: Commit | None = None
        self.took: dict[int, float] = {}
        """When each event was last given to analytics."""
        self._taken: list[int] = []
        self._save_at = self._look_at = 0.0
        self._busy = False
        self._woken: float | None = None

    @property
    def listening(self) -> bool:
        return self.process is not None and self.process.alive

    # --- what the faults do ------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.listening:
            return
        self.world.note("collector starts")
        core = JournalCore(self.limits, self.disk.load(self.limits.remember_events))
        self.process = Process(self.world, self.clock, core, self._apply)
        self._under_way, self._taken, self._busy, self._woken = None, [], False, None
        self._save_at = self.world.time + STATE_INTERVAL_S
        due: list[Onset] = []
        if self.disk.state is None:
            self.analytics = engine.Analytics(self.policy, self.clock.now())
        else:
            self.analytics, due = engine.restore(self.policy, self.disk.state, self.clock.now())
        for action in core.start():
            self._apply(self.process, action)
        self._turn(self.process, due)

    def kill(self) -> None:
        if self.process is None or not self.process.alive:
            return
        self.world.note("collector killed")
        self.process.kill()
        if self._under_way is not None and self.world.rng.random() < 0.5:
            self.disk.commit(self._under_way)
        replies, self._replies = self._replies, {}
        for reply, _ in replies.values():
            reply(Verdict.UNAVAILABLE)

    # --- intake ------------------------------------------------------------------------------------------------------

    def receive(self, bodies: list[bytes], reply: Callable[[Verdict], None]) -> None:
        """A POST of one event or of several."""
        assert self.process is not None
        try:
            if len(bodies) == 1:
                entries = events.single(b'{"event":' + bodies[0] + b"}")
            else:
                entries = events.batch(b'{"eventList":[' + b",".join(bodies) + b"]}")
        except events.Refused as refused:
            raise Broken(f"the collector refuses an event of a function: {refused}") from None
        self._request += 1
        self._replies[self._request] = (reply, [entry.key for entry in entries])
        self.process.feed(Submit(self._request, entries))

    def _apply(self, process: Process, action: Action) -> None:
        match action:
            case Commit():
                self._under_way = action
                self.world.after(0.0005 + self.world.rng.random() * 0.003, self._commit, process, action)
            case Read():
                self.world.after(0.001, lambda: process.feed(Loaded(*self.disk.read(action))))
            case Answer():
                self._answer(action)
            case Ready():
                self.world.after(0, self._take, process)

    def _commit(self, process: Process, commit: Commit) -> None:
        if process.alive:
            self._under_way = None
            process.feed(Committed() if self.disk.commit(commit) else Failed())

    def _answer(self, answer: Answer) -> None:
        reply, keys = self._replies.pop(answer.request)
        if keys:
            self.answers[answer.verdict.value] = self.answers.get(answer.verdict.value, 0) + 1
        if answer.duplicates:
            self.answers["duplicates"] = self.answers.get("duplicates", 0) + answer.duplicates
        if answer.verdict is Stored.ACCEPTED:
            if not self.disk.keys.issuperset(keys):
                raise Broken("202 for an event that is not durable")
            reply(Verdict.ACCEPTED)
        else:
            reply(Verdict.UNAVAILABLE)

    # --- from events to onsets ---------------------------------------------------------------------------------------

    def _turn(self, process: Process, due: list[Onset]) -> None:
        """One turn of `hand_on_onsets`: tell what is due, then finish the events, then wait."""
        if not process.alive:
            return
        if due:
            self._busy = True
            if self.analytics.fleeting:
                taken, self._taken = self._taken, []
                self._keep(process, taken, due)
            else:
                self._tell(due, lambda: self._told(process))
            return
        if self._taken and self.world.time >= self._save_at:
            self._finish(process)
        self._take(process)

    def _keep(self, process: Process, taken: list[int], due: list[Onset]) -> None:
        """As Journal.keep; then the messages are told."""

        def kept(verdict: Verdict) -> None:
            if not process.alive:
                return
            if verdict is Verdict.ACCEPTED:
                self.analytics.fleeting = False
                self._tell(due, lambda: self._told(process))
            else:
                self.world.after(KEEP_RETRY_S, self._keep, process, [], due)

        if process.alive:
            self._request += 1
            self._replies[self._request] = (kept, [])
            process.feed(Finished(taken, self.analytics.dump(self.clock.now(), due), self._request))

    def _told(self, process: Process) -> None:
        if process.alive:
            self._busy = False
            self._finish(process)
            self._take(process)

    def _finish(self, process: Process) -> None:
        taken, self._taken = self._taken, []
        self._save_at = self.world.time + STATE_INTERVAL_S
        process.feed(Finished(taken, self.analytics.dump(self.clock.now())))

    def _take(self, process: Process) -> None:
        if not process.alive or self._busy:
            return
        deliveries: list[Delivery] = process.core.take(TAKE)
        if deliveries:
            process.feed(Refill())
        now = self.clock.now()
        due = self.analytics.tick(now)
        for delivery in deliveries:
            record = from_event(msgspec.json.decode(delivery.body))
            if not isinstance(record, Rejected):
                due += self.analytics.handle(record, now)
            elif not record.other:
                raise Broken(f"analytics cannot read an event of a function: {record.reason}")
            self._taken.append(delivery.id)
            self.took[delivery.id] = self.world.time
        if deliveries and self.world.time >= self._look_at:
            self._look_at = self.world.time + LOOK_S
            for module in self.analytics.modules():
                if not self._placed(module):
                    due += self.analytics.dismiss(module, now)
        if due:
            self._turn(process, due)
            return
        times = [at for at in (self.analytics.deadline(), self._save_at if self._taken else None) if at is not None]
        wake = max(min(times), self.world.time) if times else None
        if wake is not None and wake != self._woken:
            self._woken = wake
            self.world.at(wake, self._wake, process, wake)

    def _wake(self, process: Process, wake: float) -> None:
        if wake == self._woken:
            self._woken = None
            if process.alive and not self._busy:
                self._turn(process, [])
