"""HA-B on its host: what is durable survives the process.

As store/writer.py does it, what is staged while a commit is under way goes into the next one together. The commit that a kill meets may
have got through or not, as a whole; one that the disk refuses ends the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from closedloop_nf.ha_b import actions, commands, core, inputs
from closedloop_nf.ha_b.api import views
from closedloop_nf.ha_b.api.types import BindingView, HomeAgentView
from closedloop_nf.ha_b.settings import Settings
from closedloop_nf.ha_b.store.memory import MemoryStore
from closedloop_nf.link.messages import Binding, SecurityAssociation
from closedloop_nf.runtime.addresses import Prefix

from tests.simulation.network import Conditions, Stream
from tests.simulation.process import Process
from tests.simulation.world import Clock, World

if TYPE_CHECKING:
    from tests.simulation.packet_processor import Host

QUICK_S = 0.004
"""A commit of a good disk takes up to so long."""


class Backend:
    """The HA-B node. `keys`: home address -> (SPI, key), there from the start."""

    def __init__(
        self, world: World, conditions: Conditions, *, home: Prefix, shared_address: bytes | None, keys: dict[bytes, tuple[int, bytes]]
    ) -> None:
        self.world, self.conditions, self.keys = world, conditions, keys
        self.clock = Clock(world)
        self.hosts: dict[str, Host] = {}
        self.settings = Settings(
            home_prefixes=(home.pair(),),
            address_mode="shared" if shared_address else "per_instance",
            shared_address=shared_address or b"",
            token=b"t",
            beat_ms=500,
            lease_ms=2000,
            max_lifetime_s=60,
        )
        self.disk = MemoryStore()
        self.disk.set_lease(self.settings.lease_ms)
        self.process: Process | None = None
        self._streams: dict[int, Stream] = {}
        self.disk_full = False
        self.commit_s = world.rng.choice([QUICK_S, QUICK_S, 0.1, 1.5])
        """A commit takes up to so long; a slow disk makes large groups."""
        self.began: Callable[[], None] = _nothing
        self.ended: Callable[[], None] = _nothing
        self.notified: Callable[[actions.Notify], None] = _nothing
        """Who reports to a collector hears of these three."""
        self.requested: dict[int, Callable[[actions.Reply | None], None]] = {}
        """Who waits for an answer; None: HA-B is gone."""
        self._waiting: list[actions.Persist] = []
        self._under_way: list[actions.Persist] | None = None
        self._conn = 0
        self._request = 0

    # --- what the faults do ------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.process is not None and self.process.alive:
            return
        self.world.note("ha-b starts")
        for home_address, (spi, key) in self.keys.items():
            self.disk.associations.setdefault((home_address, spi), SecurityAssociation(home_address, spi, key))
        machine = core.Backend(self.settings, self.disk.load(), self.clock.now())
        self._waiting, self._under_way = [], None
        self.process = Process(self.world, self.clock, machine, self._apply)
        self.process.arm()
        self.began()

    def kill(self) -> None:
        if self.process is None or not self.process.alive:
            return
        self.world.note("ha-b killed")
        self.process.kill()
        if self._under_way and not self.disk_full and self.world.rng.random() < 0.5:
            self.disk.commit(self._under_way)
        for stream in self._streams.values():
            stream.close("backend", drop=self.world.rng.random() < 0.5)
        self._streams.clear()
        self.ended()
        requested, self.requested = self.requested, {}
        for answer in requested.values():
            answer(None)

    def pause(self) -> None:
        if self.process is not None and self.process.alive:
            self.world.note("ha-b paused")
            self.process.pause()

    def resume(self) -> None:
        if self.process is not None and self.process.paused:
            self.process.resume()

    def promote(self, name: str) -> None:
        self._command(commands.Promote(name))

    def drain(self, name: str) -> None:
        if not self.settings.shared:
            self._command(commands.Drain(name))

    # --- the operator's side -----------------------------------------------------------------------------------------

    def ask(self, command: commands.Command, answer: Callable[[actions.Reply | None], None]) -> None:
        """A request of the API."""
        if self.process is None or not self.process.alive:
            answer(None)
            return
        self.requested[self._request + 1] = answer
        self._command(command)

    def home_agents(self) -> list[HomeAgentView] | None:
        """What the API lists; None where nobody answers."""
        if self.process is None or not self.process.alive or self.process.paused:
            return None
        world = self.process.core.world
        return [views.home_agent(world, agent, self.world.time) for _, agent in sorted(world.agents.items())]

    def bound(self) -> list[BindingView] | None:
        """The bindings that the API lists; None where nobody answers."""
        if self.process is None or not self.process.alive or self.process.paused:
            return None
        world = self.process.core.world
        return [views.binding(world, world.bindings.committed[row.home_address], self.world.time) for row in world.bindings.live()]

    # --- what the invariants look at ---------------------------------------------------------------------------------

    def durable_binding(self, home_address: bytes) -> Binding | None:
        row = self.disk.bindings.get(home_address)
        return row if row is not None and row.lifetime_s else None

    def was_removed_after(self, home_address: bytes, sequence: int) -> bool:
        """A tombstone of this or a later sequence is durable."""
        row = self.disk.bindings.get(home_address)
        return row is not None and row.lifetime_s == 0 and (row.sequence - sequence) % 65536 < 32768

    # --- the network side --------------------------------------------------------------------------------------------

    def dialled(self, host: Host) -> Stream | None:
        process = self.process
        if process is None or not process.alive or host.name in self.conditions.cut:
            return None
        self._conn += 1
        conn = self._conn
        stream = Stream(self.world, self.conditions, host.name)
        self._streams[conn] = stream
        stream.attach(
            "backend",
            lambda message: process.feed(inputs.LinkMessage(conn, message)),
            lambda: self._closed(process, conn),
        )
        process.feed(inputs.LinkOpened(conn, host.name))
        return stream

    def _closed(self, process: Process, conn: int) -> None:
        if self._streams.pop(conn, None) is not None:
            process.feed(inputs.LinkClosed(conn, reset=True))

    def _command(self, command: commands.Command) -> None:
        if self.process is not None and self.process.alive:
            self._request += 1
            self.world.note("operator:", command)
            self.process.feed(inputs.Request(self._request, command))

    def _apply(self, process: Process, action: actions.Action) -> None:
        match action:
            case actions.Send():
                stream = self._streams.get(action.conn)
                if stream is not None:
                    stream.send("packet_processor", action.message)
            case actions.Close():
                stream = self._streams.pop(action.conn, None)
                if stream is not None:
                    stream.close("backend")
                    self.world.after(0, process.feed, inputs.LinkClosed(action.conn))
            case actions.Persist():
                self._waiting.append(action)
                if self._under_way is None:
                    self._under_way = []
                    self.world.after(0, self._write, process)
            case actions.Probe():
                self._probe(process, action)
            case actions.Notify():
                self.world.note("ha-b:", action.kind, action.name, action.details)
                self.notified(action)
            case actions.Reply():
                self.world.note(f"ha-b answers the operator: {action.problem or 'done'} {action.message}")
                answer = self.requested.pop(action.request, None)
                if answer is not None:
                    answer(action)

    def _write(self, process: Process) -> None:
        """Begin to commit all that waits."""
        if process.alive:
            self._under_way, self._waiting = self._waiting, []
            self.world.after(0.001 + self.world.rng.random() * self.commit_s, self._written, process)

    def _written(self, process: Process) -> None:
        group = self._under_way
        if not process.alive or not group:
            return
        if self.disk_full:
            self.kill()
            return
        self.disk.commit(group)
        self._under_way = None
        if self._waiting:
            self._under_way = []
            self.world.after(0, self._write, process)
        process.feed(inputs.Persisted(group[-1].batch))

    def _probe(self, process: Process, probe: actions.Probe) -> None:
        host = self.hosts[probe.host]
        rtt = 0.001 + self.world.rng.random() * 0.002

        def answer() -> None:
            if host.name in self.conditions.cut:
                self.world.after(1.0, process.feed, inputs.ProbeResult(probe.name, probe.instance, False))
            else:
                process.feed(inputs.ProbeResult(probe.name, probe.instance, not host.listening))

        self.world.after(rtt, answer)


def _nothing(*_: Any) -> None:
    """Nobody listens."""
