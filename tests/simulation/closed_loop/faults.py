"""The faults of a history of the closed loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.socket_keeper import PATIENCE_S

from tests.simulation.backend import QUICK_S

if TYPE_CHECKING:
    from tests.simulation.closed_loop.history import LoopHistory
    from tests.simulation.packet_processor import Host


class LoopFaults:
    """Plans faults at random times; `end` undoes every one that lasts, but starts no HA-PP: that is the loop's part."""

    def __init__(self, history: LoopHistory) -> None:
        self._history = history

    def plan(self, *, begin: float, end: float) -> None:
        world = self._history.world
        kinds: list[Callable[[], None]] = [
            self._kill_packet_processor,
            self._kill_packet_processor,
            self._kill_packet_processor,
            self._kill_every_packet_processor,
            self._close_socket,
            self._kill_backend,
            self._kill_loop,
            self._kill_loop,
            self._kill_playbook,
            self._kill_playbook,
            self._hold_playbook,
            self._pause_packet_processor,
            self._pause_backend,
            self._cut_from_backend,
            self._cut_from_collector,
            self._reset_link,
            self._step_clock,
            self._fill_intake,
            self._fill_operations,
            self._fill_spool,
            self._fill_backend,
            self._move,
        ]
        for _ in range(world.rng.randint(1, 8)):
            world.at(world.rng.uniform(begin, end), self._strike, world.rng.choice(kinds))

    def end(self) -> None:
        """Peace."""
        history = self._history
        history.world.note("--- peace ---")
        history.conditions.calm()
        history.wire.cut.clear()
        for host in history.hosts:  # a mobile node can move only between HA-PPs whose clocks are near each other (RFC 4285)
            host.clock.offset = 0.0
        history.intake.full = history.operations.full = history.backend.disk_full = False
        for spool in history.spools.values():
            spool.full = False
        history.backend.commit_s = QUICK_S
        history.backend.resume()
        history.backend.start()
        history.start_loop()
        for host in history.hosts:
            if host.process is not None and host.process.paused:
                host.process.resume()

    def _strike(self, fault: Callable[[], None]) -> None:
        self._history.seen[fault.__name__.lstrip("_")] += 1
        fault()

    def _lasting(self) -> float:
        rng = self._history.world.rng
        return rng.choice([0.05, 0.4, 1.0, 3.0, 6.0, 12.0]) * rng.uniform(0.5, 1.5)

    def _any_host(self) -> Host:
        return self._history.world.rng.choice(self._history.hosts)

    def _kill_packet_processor(self) -> None:
        """Sometimes a supervisor starts it again."""
        host = self._any_host()
        host.kill()
        if self._history.world.rng.random() < 0.25:
            self._history.world.after(self._lasting(), self._history.placement.restart, host.name)

    def _kill_every_packet_processor(self) -> None:
        """A power cut: nobody is left to take over, and several operations are wanted at once."""
        for host in self._history.hosts:
            host.kill()

    def _close_socket(self) -> None:
        host = self._any_host()
        process = host.process
        if process is not None:
            self._history.world.note(f"{host.name}: its raw socket closes")
            process.feed(events.SocketState(False))
            if self._history.world.rng.random() < 0.5:
                self._history.world.after(self._lasting() % PATIENCE_S, process.feed, events.SocketState(True))
            else:
                self._history.world.after(PATIENCE_S, lambda: host.kill() if host.process is process else None)

    def _kill_backend(self) -> None:
        self._history.backend.kill()
        self._history.world.after(self._lasting(), self._history.backend.start)

    def _kill_loop(self) -> None:
        """Rulebook, source and dispatcher are one process; what it started lives on, or not."""
        history = self._history
        history.kill_loop()
        if history.world.rng.random() < 0.5:
            for playbook in history.playbooks:
                playbook.kill(keeper=history.world.rng.random() < 0.3)
        history.world.after(self._lasting(), history.start_loop)

    def _kill_playbook(self) -> None:
        """One that runs, or the next that does: a playbook is short, most moments have none."""
        history = self._history
        rng = history.world.rng
        running = [playbook for playbook in history.playbooks if playbook.alive]
        if running:
            rng.choice(running).kill(keeper=rng.random() < 0.3)
        elif history.world.time < history.peace_at:
            history.world.after(0.1 + rng.random() * 0.2, self._kill_playbook)

    def _hold_playbook(self) -> None:
        history = self._history
        running = [playbook for playbook in history.playbooks if playbook.alive]
        if running:
            history.world.note("a playbook is held up")
            history.world.rng.choice(running).hold(self._lasting())
        elif history.world.time < history.peace_at:
            history.world.after(0.1 + history.world.rng.random() * 0.2, self._hold_playbook)

    def _pause_packet_processor(self) -> None:
        host = self._any_host()
        process = host.process
        if process is not None and process.alive and not process.paused:
            self._history.world.note(f"{host.name} is paused")
            process.pause()
            self._history.world.after(self._lasting(), lambda: process.resume() if process.paused else None)

    def _pause_backend(self) -> None:
        self._history.backend.pause()
        self._history.world.after(self._lasting(), self._history.backend.resume)

    def _cut_from_backend(self) -> None:
        name = self._any_host().name
        self._history.world.note(f"{name} cut off from HA-B")
        self._history.conditions.cut.add(name)
        self._history.world.after(self._lasting(), self._history.conditions.cut.discard, name)

    def _cut_from_collector(self) -> None:
        name = self._history.world.rng.choice(["ha-b", self._any_host().name])
        self._history.world.note(f"{name} cut off from the collector")
        self._history.wire.cut.add(name)
        self._history.world.after(self._lasting(), self._history.wire.cut.discard, name)

    def _reset_link(self) -> None:
        stream = self._any_host().stream
        if stream is not None:
            self._history.world.note("a link is reset")
            stream.break_both()

    def _step_clock(self) -> None:
        history = self._history
        rng = history.world.rng
        clock = rng.choice([history.backend.clock, history.control_clock, history.control_clock, *(host.clock for host in history.hosts)])
        clock.offset += rng.choice([-30.0, -5.0, -0.5, 0.5, 5.0, 30.0])
        history.world.note("a wall clock steps")

    def _fill_intake(self) -> None:
        self._fill(self._history.intake, "intake journal")

    def _fill_operations(self) -> None:
        self._fill(self._history.operations, "operations journal")

    def _fill_spool(self) -> None:
        name = self._history.world.rng.choice(["ha-b", self._any_host().name])
        self._fill(self._history.spool(name), f"event queue of {name}")

    def _fill(self, disk: object, name: str) -> None:
        self._history.world.note(f"disk full: {name}")
        disk.full = True  # type: ignore[attr-defined] # every disk has it
        self._history.world.after(self._lasting(), setattr, disk, "full", False)

    def _fill_backend(self) -> None:
        """HA-B ends at the first commit that is refused; its supervisor tries until there is room."""
        backend = self._history.backend
        self._history.world.note("disk full: HA-B")
        backend.disk_full = True

        def room() -> None:
            backend.disk_full = False
            backend.start()

        self._history.world.after(self._lasting(), room)

    def _move(self) -> None:
        rng = self._history.world.rng
        rng.choice(self._history.nodes).plug(rng.choice([1, 2]))
