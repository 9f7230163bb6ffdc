"""What must hold after every step, and what must hold once the faults have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from closedloop_nf.ha_pp.events import SendMobility
from closedloop_nf.ha_pp.ownership import LINGER_S
from closedloop_nf.link.messages import Binding
from closedloop_nf.wire import mobility

if TYPE_CHECKING:
    from tests.simulation.history import History
    from tests.simulation.packet_processor import Host


LINGERS_AT_MOST_S = LINGER_S + 2.0
"""A process that is held up cannot end it in time; the kernel does, when the lease of two seconds ends."""


class Broken(AssertionError):
    """An invariant does not hold."""


class Watch:
    """Looks at the true state of all nodes, which no node can."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.acknowledged = 0

    def owners(self) -> None:
        """One owner per home address, one holder of the shared address, in what kernels really forward."""
        history = self._history
        time = history.world.time
        for host in history.hosts:
            for home_address, (_care_of, since) in host.kernel.lingering.items():
                if host.kernel.lease_until > time > since + LINGERS_AT_MOST_S:
                    raise Broken(f"{host.name} still forwards for {home_address.hex()}, {time - since:.1f} s after another took it over")
        open_kernels = [host for host in history.hosts if host.kernel.lease_until > time]
        for index, host in enumerate(open_kernels):
            for other in open_kernels[index + 1 :]:
                both = host.kernel.installed.keys() & other.kernel.installed.keys()
                if both:
                    raise Broken(f"{both.pop().hex()} is served by {host.name} and {other.name}")
                if host.kernel.address is not None and host.kernel.address == other.kernel.address:
                    raise Broken(f"{host.kernel.address.hex()} is held by {host.name} and {other.name}")

    def acknowledgement(self, host: Host, action: SendMobility) -> None:
        """An acknowledged registration is durable at HA-B, as it was acknowledged or newer."""
        message = mobility.parse_mobility(action.payload)
        if not isinstance(message, mobility.BindingAcknowledgement) or message.status >= 128:
            return
        self.acknowledged += 1
        home_address = action.routing_home_address or action.destination
        row = self._history.backend.durable_binding(home_address)
        if message.lifetime == 0:
            if row is not None and row.sequence == message.sequence:
                raise Broken(f"deregistration of {home_address.hex()} acknowledged but its binding is durable")
        elif row is None:
            if not self._history.backend.was_removed_after(home_address, message.sequence):
                raise Broken(f"{home_address.hex()} sequence {message.sequence} acknowledged by {host.name} but not durable")
        elif (row.sequence - message.sequence) % 65536 >= 32768:
            raise Broken(f"{home_address.hex()} sequence {message.sequence} acknowledged by {host.name}, durable is {row.sequence}")

    def told(self, host: Host, rows: list[Binding]) -> None:
        """HA-B never tells an HA-PP of an older state of a binding than that one knows."""
        if host.process is None or host.process.paused or not host.process.core.session.synced:
            return
        known = host.process.core.state.known.bindings
        for row in rows:
            if row.home_address in known and row.revision < known[row.home_address].revision:
                raise Broken(f"{host.name} hears of an older state of {row.home_address.hex()} than it knows")

    def converged(self) -> str | None:
        """None when every mobile node is reachable; else what is missing."""
        history = self._history
        time = history.world.time
        for node in history.nodes:
            serving = [host for host in history.hosts if host.kernel.serves(node.home_address, time)]
            if node.link == 0:
                if not node.at_home:
                    return f"{node.name} is on its home link and does not know"
                if serving:
                    return f"{node.name} is at home and {serving[0].name} serves it"
                continue
            if node.tunnel is None:
                return f"{node.name} has no tunnel"
            if node.tunnel[0] != node.care_of_address:
                return f"{node.name} has a tunnel from an address it left"
            if len(serving) != 1:
                return f"{node.name} is served by {len(serving)} HA-PPs"
            host = serving[0]
            if host.kernel.installed[node.home_address] != node.care_of_address:
                return f"{host.name} tunnels {node.name}'s packets to an old care-of address"
            if node.tunnel[1] != host.kernel.address:
                return f"{node.name} tunnels to another home agent than {host.name}"
            row = history.backend.durable_binding(node.home_address)
            if row is None or row.owner != host.name or row.care_of_address != node.care_of_address:
                return f"HA-B's record of {node.name} differs from what {host.name} does"
        return self._unlike()

    def _unlike(self) -> str | None:
        """An HA-PP that does not know a binding as HA-B has it would give an old one to its mobile node when it takes over."""
        disk = self._history.backend.disk
        live = {home_address: row for home_address, row in disk.bindings.items() if row.lifetime_s}
        for host in self._history.hosts:
            known = {} if host.process is None or not host.process.alive else host.process.core.state.known.bindings
            for home_address, row in live.items():
                if host.listening and (home_address not in known or known[home_address].revision != row.revision):
                    return f"{host.name} knows another binding of {home_address.hex()} than HA-B has"
        return None
