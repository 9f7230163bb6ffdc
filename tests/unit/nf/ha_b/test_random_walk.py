"""A random walk: HA-PPs that crash, hang, come back and register; an HA-B that restarts with what was durable. What must hold, holds after
every step: no address is served twice, nothing acknowledged is lost, epochs only grow; and when the faults end all comes to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from closedloop_nf.ha_b.actions import Action, Close, Persist, Probe, Send
from closedloop_nf.ha_b.core import Backend
from closedloop_nf.ha_b.inputs import Input, LinkClosed, LinkMessage, LinkOpened, Persisted, ProbeResult
from closedloop_nf.ha_b.store.memory import MemoryStore
from closedloop_nf.link import messages as m
from closedloop_nf.runtime.clock import Instant
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.nf.ha_b import harness

NAMES = ("a", "b", "c")
ADDRESSES = 3
BEAT_S, LEASE_S = 0.1, 2.0


@dataclass
class PacketProcessor:
    """An HA-PP reduced to what the protocol obliges it to."""

    name: str
    role: str
    process: int = 0
    alive: bool = False
    hung: bool = False
    conn: int | None = None
    inbox: list[m.ToPacketProcessor] = field(default_factory=list)
    rows: dict[bytes, m.Binding] = field(default_factory=dict)
    served: set[bytes] = field(default_factory=set)
    active: bool = False
    synced: bool = False
    welcomed: bool = False
    lease_until: float = -1.0
    epoch: int = 0
    beats: dict[int, float] = field(default_factory=dict)
    beat: int = 0


class Walk(RuleBasedStateMachine):
    @initialize(shared=st.booleans())
    def begin(self, shared: bool) -> None:
        mode: dict[str, Any] = {"address_mode": "shared", "shared_address": harness.SHARED} if shared else {}
        self.settings = harness.settings(**mode)
        self.time = 1000.0
        self.store = MemoryStore()
        self.processors = {name: PacketProcessor(name, "standby" if name == "c" else "active") for name in NAMES}
        self.conns = 0
        self.waiting: list[Persist] = []
        self.sequence = 0
        self.acknowledged: dict[bytes, int] = {}
        self.asked: dict[int, tuple[bytes, int]] = {}
        self.highest_epoch = 0
        self.probes: list[Probe] = []
        self.start_backend()
        for name in NAMES:
            self.start_process(self.processors[name])
        self.time_passes(3)

    @property
    def now(self) -> Instant:
        return Instant(self.time, harness.WALL + self.time)

    # --- HA-B ---

    def start_backend(self) -> None:
        self.waiting.clear()
        self.probes.clear()
        self.core = Backend(self.settings, self.store.load(), self.now)
        self.store.set_lease(self.settings.lease_ms)

    def feed(self, event: Input) -> None:
        self.apply(self.core.handle(event, self.now))

    def tick(self) -> None:
        for _ in range(100):
            due = self.core.deadline()
            if due is None or due > self.time:
                return
            self.apply(self.core.tick(self.now))
        raise AssertionError("HA-B does not come to rest")

    def apply(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send():
                    if isinstance(action.message, m.Welcome):
                        assert action.message.epoch > self.highest_epoch, "epochs only grow"
                        self.highest_epoch = action.message.epoch
                    for processor in self.processors.values():
                        if processor.conn == action.conn:
                            processor.inbox.append(action.message)
                case Close():
                    for processor in self.processors.values():
                        if processor.conn == action.conn and not processor.hung:
                            self.deliver(processor)
                            self.disconnect(processor)
                case Persist():
                    self.waiting.append(action)
                case Probe():
                    self.probes.append(action)

    def commit(self) -> None:
        while self.waiting:
            done = self.waiting[:]
            self.waiting.clear()
            self.store.commit(done)
            self.feed(Persisted(done[-1].batch))

    # --- HA-PPs ---

    def start_process(self, processor: PacketProcessor) -> None:
        process = processor.process + 1
        self.processors[processor.name] = PacketProcessor(processor.name, processor.role, process, alive=True)
        self.connect(self.processors[processor.name])

    def connect(self, processor: PacketProcessor) -> None:
        self.conns += 1
        processor.conn = self.conns
        processor.inbox.clear()
        processor.beats.clear()
        processor.synced = processor.welcomed = False
        self.feed(LinkOpened(processor.conn, "::1"))
        hello = m.Hello(
            processor.name,
            f"{processor.name}-{processor.process}",
            "host-" + processor.name,
            "r",
            harness.care_of(ord(processor.name)),
            harness.home(ord(processor.name) << 32),
            80,
            processor.role,
            harness.TOKEN.decode(),
        )
        self.say(processor, hello)

    def say(self, processor: PacketProcessor, message: m.ToBackend) -> None:
        if processor.conn is not None:
            self.feed(LinkMessage(processor.conn, message))

    def disconnect(self, processor: PacketProcessor) -> None:
        conn, processor.conn = processor.conn, None
        processor.synced = processor.welcomed = False
        processor.inbox.clear()
        if conn is not None:
            self.feed(LinkClosed(conn, reset=True))

    def deliver(self, processor: PacketProcessor) -> None:
        while processor.inbox and processor.alive and not processor.hung:
            self.receive(processor, processor.inbox.pop(0))

    def receive(self, processor: PacketProcessor, message: m.ToPacketProcessor) -> None:
        match message:
            case m.Welcome():
                processor.welcomed = True
                processor.epoch = message.epoch
                processor.active = message.role == "active"
                if not processor.active:
                    processor.served.clear()
                processor.rows.clear()
            case m.Bindings():
                for row in message.rows:
                    if row.lifetime_s:
                        processor.rows[row.home_address] = row
                    else:
                        processor.rows.pop(row.home_address, None)
                    if processor.synced or row.owner != processor.name:
                        self.serve(processor, row.home_address)
            case m.SnapshotDone():
                processor.served = {home for home, row in processor.rows.items() if row.owner == processor.name}
                processor.synced = True
                self.say(processor, m.Synced(message.revision))
                self.beat(processor)
            case m.BeatAck():
                sent = processor.beats.pop(message.sequence, None)
                if sent is not None and processor.synced:
                    processor.lease_until = max(processor.lease_until, sent + LEASE_S)
            case m.Registered():
                home, sequence = self.asked[message.transaction]
                if message.status == 0:
                    self.acknowledged[home] = max(sequence, self.acknowledged.get(home, 0))
                    processor.rows[home] = m.Binding(home, home, sequence, 4000, 0.0, 0, processor.name, processor.epoch)
                    processor.served.add(home)
            case m.Revoke():
                processor.served.discard(message.home_address)
                self.say(processor, m.Revoked(message.home_address, message.revision))
            case m.Adopt():
                processor.active = True
                for home, row in list(processor.rows.items()):
                    if row.owner == message.previous_owner:
                        processor.rows[home] = m.Binding(
                            home, row.care_of_address, row.sequence, 4000, 0.0, 0, processor.name, message.epoch
                        )
                        processor.served.add(home)
            case m.Relinquish():
                processor.active = False
                processor.served.clear()
                self.say(processor, m.Relinquished(message.revision))
            case m.Refused():
                if message.code == "superseded":
                    processor.alive = False

    def serve(self, processor: PacketProcessor, home: bytes) -> None:
        row = processor.rows.get(home)
        if row is not None and row.owner == processor.name:
            processor.served.add(home)
        else:
            processor.served.discard(home)

    def beat(self, processor: PacketProcessor) -> None:
        if processor.alive and not processor.hung and processor.welcomed:
            processor.beat += 1
            processor.beats[processor.beat] = self.time
            self.say(processor, m.Beat(processor.beat, True))

    def settle(self) -> None:
        self.tick()
        self.commit()
        self.tick()
        for processor in list(self.processors.values()):
            self.deliver(processor)
        self.commit()

    # --- what happens ---

    @rule(name=st.sampled_from(NAMES), number=st.integers(0, ADDRESSES - 1))
    def register(self, name: str, number: int) -> None:
        processor = self.processors[name]
        if processor.alive and not processor.hung and processor.synced and processor.active and self.time < processor.lease_until:
            self.sequence += 1
            home = harness.home(number)
            self.asked[self.sequence] = (home, self.sequence)
            self.say(processor, m.Register(self.sequence, home, harness.care_of(1), self.sequence, 4000, 0, 0))

    @rule()
    def durable(self) -> None:
        self.commit()

    @rule()
    def messages_arrive(self) -> None:
        for name in NAMES:
            self.deliver(self.processors[name])

    @rule(beats=st.integers(1, 30))
    def time_passes(self, beats: int) -> None:
        for _ in range(beats):
            self.time += BEAT_S
            for processor in list(self.processors.values()):
                self.beat(processor)
            self.settle()

    @rule(name=st.sampled_from(NAMES))
    def process_dies(self, name: str) -> None:
        processor = self.processors[name]
        processor.alive = processor.hung = False
        processor.served.clear()
        self.disconnect(processor)

    @rule(name=st.sampled_from(NAMES))
    def process_hangs(self, name: str) -> None:
        self.processors[name].hung = True

    @rule(name=st.sampled_from(NAMES))
    def process_wakes(self, name: str) -> None:
        processor = self.processors[name]
        if processor.hung:
            processor.hung = False
            if processor.conn is not None and processor.conn not in self.core.world.sessions:
                self.disconnect(processor)

    @rule(name=st.sampled_from(NAMES))
    def link_breaks(self, name: str) -> None:
        self.disconnect(self.processors[name])

    @rule(name=st.sampled_from(NAMES))
    def comes_back(self, name: str) -> None:
        processor = self.processors[name]
        if not processor.alive:
            self.start_process(processor)
        elif processor.conn is None and not processor.hung:
            self.connect(processor)

    @rule()
    def probes_answer(self) -> None:
        probes, self.probes = self.probes, []
        for probe in probes:
            processor = self.processors[probe.name]
            self.feed(ProbeResult(probe.name, probe.instance, not processor.alive))
        self.time += 0.006
        self.tick()

    @rule(how_many=st.integers(0, 5))
    def backend_is_killed(self, how_many: int) -> None:
        """Of what waits to be durable any part may be."""
        self.store.commit(self.waiting[:how_many])
        for processor in self.processors.values():
            processor.conn = None
            processor.inbox.clear()
            processor.synced = processor.welcomed = False
        self.start_backend()

    @precondition(lambda self: hasattr(self, "core"))
    @rule()
    def faults_end(self) -> None:
        for _ in range(60):
            for name in NAMES:
                self.process_wakes(name)
                self.comes_back(name)
            self.probes_answer()
            self.time_passes(1)
        for home, row in self.store.bindings.items():
            servers = [p.name for p in self.processors.values() if home in p.served and self.time < p.lease_until]
            assert servers == [row.owner], "every binding is served by its owner"

    # --- what must hold ---

    @invariant()
    def no_address_is_served_twice(self) -> None:
        if not hasattr(self, "core"):
            return
        for number in range(ADDRESSES):
            home = harness.home(number)
            servers = [p.name for p in self.processors.values() if p.alive and home in p.served and self.time < p.lease_until]
            assert len(servers) <= 1, f"{servers} serve address {number}"

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        if not hasattr(self, "core"):
            return
        for home, sequence in self.acknowledged.items():
            assert self.store.bindings[home].sequence >= sequence


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
