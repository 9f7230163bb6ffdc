"""A host with an HA-PP on it: the process may die and come back, the kernel's state is what the real data plane keeps."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.core import PacketProcessor
from closedloop_nf.ha_pp.state import Parameters
from closedloop_nf.link.messages import Binding, Bindings

from tests.simulation.invariants import LINGERS_AT_MOST_S
from tests.simulation.network import Network, Stream
from tests.simulation.process import Process
from tests.simulation.world import Clock, World


class Kernel:
    """What forwards. The lease and the permissions belong to the process (kernel/guard.py): they end with it."""

    def __init__(self) -> None:
        self.installed: dict[bytes, bytes] = {}
        self.lingering: dict[bytes, tuple[bytes, float]] = {}
        """Another's already, still forwarded: home address -> care-of address, since when."""
        self.lease_until = 0.0
        self.address: bytes | None = None
        self.anycast: list[bytes] = []

    def serves(self, home_address: bytes, time: float) -> bool:
        return time < self.lease_until and home_address in self.installed

    def forwards(self, home_address: bytes, care_of_address: bytes, time: float) -> bool:
        """Whether a packet of this pair that comes here goes on."""
        lingering = self.lingering.get(home_address, (None, 0.0))[0]
        return time < self.lease_until and care_of_address in (self.installed.get(home_address), lingering)


class Backend(Protocol):
    """Where an HA-PP dials."""

    def dialled(self, host: Host) -> Stream | None:
        """A new stream, or None where nothing listens."""


class Home(Protocol):
    """The home link and who watches."""

    def announced(self, address: bytes, host: Host) -> None: ...

    def acknowledged(self, host: Host, action: events.SendMobility) -> None: ...

    def in_use(self, address: bytes) -> bool: ...

    def told(self, host: Host, rows: list[Binding]) -> None: ...


class Host:
    """One region's host for one HA-PP name."""

    def __init__(
        self,
        world: World,
        network: Network,
        backend: Backend,
        home: Home,
        *,
        name: str,
        address: bytes,
        home_link_address: bytes,
        role: str,
    ) -> None:
        self.world, self.network, self.backend, self.home = world, network, backend, home
        self.name, self.address, self.role = name, address, role
        self.home_link_address = home_link_address
        self.clock = Clock(world)
        self.kernel = Kernel()
        self.stream: Stream | None = None
        self.process: Process | None = None
        self.began: Callable[[], None] = _nothing
        self.ended: Callable[[], None] = _nothing
        """Who reports to a collector hears of these."""
        self._starts = 0

    @property
    def listening(self) -> bool:
        """Whether the kernel accepts a connection to the health port."""
        return self.process is not None and self.process.alive

    def start(self) -> None:
        """A new process: crash-only start clears what the predecessor left."""
        if self.listening:
            return
        self._starts += 1
        self.kernel = Kernel()
        parameters = Parameters(
            name=self.name,
            instance=f"{self.name}/{self._starts}",
            host_id=f"host-{self.name}",
            region=f"region-{self.name}",
            address=self.address,
            home_link_address=self.home_link_address,
            health_port=8080,
            role=self.role,
            token="t",
            data_plane="simulated",
        )
        rng = random.Random(self.world.rng.random())
        self.process = Process(self.world, self.clock, PacketProcessor(parameters, rng), self._apply)
        self.world.note(f"{self.name} starts, instance {self._starts}")
        self.process.feed(events.SocketState(True))
        self.process.arm()
        self.began()

    def kill(self) -> None:
        """kill -9: tables owned by the process go, then its connections."""
        if self.process is None or not self.process.alive:
            return
        self.world.note(f"{self.name} killed")
        self.process.kill()
        self.kernel.lease_until = 0.0
        if self.stream is not None:
            self.stream.close("packet_processor", drop=self.world.rng.random() < 0.5)
            self.stream = None
        self.ended()

    def stop(self) -> None:
        """SIGTERM: it says Bye and ends."""
        process = self.process
        if process is None or not process.alive:
            return
        if process.paused:
            self.kill()
            return
        self.world.note(f"{self.name} stops")
        process.feed(events.Stop())
        self.ended()
        process.kill()
        self.kernel.lease_until = 0.0
        if self.stream is not None:
            self.stream.close("packet_processor")
            self.stream = None

    def receive(self, packet: Any) -> None:
        """A datagram for an address of this host."""
        if self.process is not None:
            self.process.feed(packet)

    def _apply(self, process: Process, action: events.Action) -> None:
        match action:
            case events.SendLink():
                if self.stream is not None:
                    self.stream.send("backend", action.message)
            case events.SendMobility():
                self.home.acknowledged(self, action)
                self.network.send(action.tunnel or action.destination, lambda: action)
            case events.SendIcmpv6():
                self.network.send(action.destination, lambda: action)
            case events.Install():
                self.kernel.installed.update(action.rows)
                self.world.changed = True
                for home_address, _care_of in action.rows:
                    self.kernel.lingering.pop(home_address, None)
            case events.Remove():
                for home_address in action.home_addresses:
                    self.kernel.installed.pop(home_address, None)
                    self.kernel.lingering.pop(home_address, None)
            case events.Linger():
                for home_address in action.home_addresses:
                    self.kernel.lingering[home_address] = (self.kernel.installed.pop(home_address), self.world.time)
                self.world.after(LINGERS_AT_MOST_S + 0.1, self._look)
            case events.RenewLease():
                self.world.changed |= self.kernel.lease_until <= self.world.time
                self.kernel.lease_until = action.until
            case events.RevokeLease():
                self.kernel.lease_until = 0.0
            case events.TakeAddress():
                self.kernel.address = action.address
                self.world.changed = True
            case events.DropAddress():
                self.kernel.address = None
            case events.AnswerAnycast():
                self.kernel.anycast = action.addresses
            case events.Announce():
                for address in action.addresses:
                    self.home.announced(address, self)
            case events.StartDad():
                used = self.home.in_use(action.address)
                self.world.after(0.02, process.feed, events.DadDone(action.address, not used))
            case events.Connect():
                self._connect(process)
            case events.Disconnect():
                if self.stream is not None:
                    self.stream.close("packet_processor")
                    self.stream = None
                    self.world.after(0, process.feed, events.LinkClosed())
            case events.Log():
                self.world.note(self.name, action.event, action.fields)
            case events.Finished():
                self.kernel.lease_until = 0.0

    def _look(self) -> None:
        """Nothing may happen at the time at which lingering has to be over; that it is so is looked at nevertheless."""
        self.world.changed = True

    def _connect(self, process: Process) -> None:
        def dial() -> None:
            if not process.alive:
                return
            stream = self.backend.dialled(self)
            if stream is None:
                process.feed(events.LinkClosed())
                return
            self.stream = stream
            stream.attach("packet_processor", lambda message: self._hear(process, message), lambda: self._link_closed(process, stream))
            process.feed(events.LinkConnected())

        self.world.after(0.001 + self.world.rng.random() * 0.002, dial)

    def _hear(self, process: Process, message: Any) -> None:
        if isinstance(message, Bindings):
            self.home.told(self, message.rows)
        process.feed(events.LinkMessage(message))

    def _link_closed(self, process: Process, stream: Stream) -> None:
        if self.stream is stream:
            self.stream = None
            process.feed(events.LinkClosed())


def _nothing() -> None:
    """Nobody listens."""
