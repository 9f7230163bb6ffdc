"""The HA-PP's side of the link: dial, Hello, snapshot, heartbeat, lease.

idle --LinkConnected--> hello --Welcome--> snapshot --SnapshotDone, all installed--> synced
  ^                       |                   |                                       |
  +--------- LinkClosed, Refused, silence, a message that does not belong here -------+
"""

from __future__ import annotations

import random
from enum import Enum

from closedloop_nf.ha_pp.events import Connect, Disconnect, SendLink
from closedloop_nf.ha_pp.ownership import Ownership
from closedloop_nf.ha_pp.state import State
from closedloop_nf.link import messages
from closedloop_nf.link.messages import (
    TRAFFIC_ROWS,
    Beat,
    BeatAck,
    Hello,
    NodeRate,
    Refused,
    SnapshotDone,
    Synced,
    ToPacketProcessor,
    Traffic,
    Welcome,
)
from closedloop_nf.runtime.clock import Instant

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0
WELCOME_TIMEOUT_S = 3.0
"""From LinkConnected to Welcome."""
SILENCE_S = 1.0
"""Least time without any message from HA-B after which the link counts as dead; the lease time where that is longer."""


class Phase(Enum):
    """How far the session has come."""

    IDLE = "disconnected"
    HELLO = "connected"
    SNAPSHOT = "snapshot"
    SYNCED = "synced"


_ANY_TIME = (
    messages.Bindings,
    messages.SecurityAssociations,
    messages.HomeAgents,
    messages.BeatAck,
    messages.Revoke,
    messages.Relinquish,
    messages.Refused,
)
_BELONGS: dict[Phase, tuple[type, ...]] = {
    Phase.IDLE: (),
    Phase.HELLO: (messages.Welcome, messages.Refused),
    Phase.SNAPSHOT: (*_ANY_TIME, messages.SnapshotDone),
    Phase.SYNCED: (*_ANY_TIME, messages.Registered, messages.Adopt, messages.SwitchHomeAgent),
}


class Session:
    """One link at a time."""

    def __init__(self, state: State, ownership: Ownership, rng: random.Random) -> None:
        self._state, self._ownership, self._rng = state, ownership, rng
        self.socket_open = False
        self.phase = Phase.IDLE
        self.address_mode = ""
        self._retry_s = FIRST_RETRY_S
        self._connect_at: float | None = 0.0
        self._beat_at: float | None = None
        self._dead_at: float | None = None
        self._beat_s = self._lease_s = 0.0
        self._beat_sequence = 0
        self._sent_at: dict[int, float] = {}
        self._snapshot_revision: int | None = None
        self._lease_runs = False

    @property
    def connected(self) -> bool:
        return self.phase is not Phase.IDLE

    @property
    def welcomed(self) -> bool:
        return self.phase in (Phase.SNAPSHOT, Phase.SYNCED)

    @property
    def synced(self) -> bool:
        return self.phase is Phase.SYNCED

    def deadline(self) -> float | None:
        lease = self._state.lease_until if self._lease_runs else None
        return min([at for at in (self._connect_at, self._beat_at, self._dead_at, lease) if at is not None], default=None)

    def tick(self, now: Instant) -> None:
        if self._connect_at is not None and now.mono >= self._connect_at:
            self._connect_at = None
            self._state.out.append(Connect())
        if self._beat_at is not None and now.mono >= self._beat_at:
            self.beat(now)
        if self._dead_at is not None and now.mono >= self._dead_at:
            self._state.log("link_silent", phase=self.phase.value)
            self._give_up()
        if self._lease_runs and now.mono >= self._state.lease_until:
            self._lease_runs = False
            if self._state.role == "active":
                self._state.log("lease_lapsed", epoch=self._state.epoch)

    # --- the transport -----------------------------------------------------------------------------------------------

    def connect_done(self, now: Instant) -> None:
        if self.connected:
            return
        parameters = self._state.parameters
        self.phase = Phase.HELLO
        self._connect_at = None
        self._dead_at = now.mono + WELCOME_TIMEOUT_S
        self._state.out.append(
            SendLink(
                Hello(
                    name=parameters.name,
                    instance=parameters.instance,
                    host_id=parameters.host_id,
                    region=parameters.region,
                    address=parameters.address,
                    home_link_address=parameters.home_link_address,
                    health_port=parameters.health_port,
                    role=parameters.role,
                    token=parameters.token,
                    data_plane=parameters.data_plane,
                )
            )
        )

    def closed(self, now: Instant) -> None:
        """The link is gone. What is served stays served until the lease ends."""
        if self.connected:
            self._state.log("link_closed", phase=self.phase.value)
        self._end()
        self._connect_at = now.mono + self._retry_s * self._rng.uniform(0.5, 1.0)
        self._retry_s = min(LAST_RETRY_S, self._retry_s * 2)

    # --- messages ----------------------------------------------------------------------------------------------------

    def admits(self, message: ToPacketProcessor, now: Instant) -> bool:
        """Whether the message may come now. One that may not ends the session: HA-B and we no longer mean the same."""
        if isinstance(message, _BELONGS[self.phase]):
            if self.welcomed:
                self._dead_at = now.mono + self._silence_s
            return True
        if self.connected:
            self._state.counters["link_messages_refused"] += 1
            self._state.log("unexpected_message", received=type(message).__name__, phase=self.phase.value)
            self._give_up()
        return False

    def refused(self, message: Refused) -> None:
        self._state.log("refused", code=message.code, problem=message.message)
        self._give_up()

    def welcome(self, message: Welcome, now: Instant) -> None:
        state = self._state
        self.phase, self._retry_s = Phase.SNAPSHOT, FIRST_RETRY_S
        self._beat_s, self._lease_s = message.beat_ms / 1000, message.lease_ms / 1000
        self._dead_at = now.mono + self._silence_s
        self.address_mode = message.address_mode
        state.epoch = message.epoch
        state.home_prefixes = list(message.home_prefixes)
        state.home_agents = list(message.home_agents)
        state.shared_address = message.shared_address
        state.max_lifetime_s = min(message.max_lifetime_s, state.parameters.max_lifetime_s)
        state.policy_changed()
        self._ownership.prefixes_known(now)
        # Active without the one address that registrations go to would be a standby that does not know it.
        state.role = "standby" if message.address_mode == "shared" and not message.holds_shared_address else message.role
        if state.role != "active":
            self._ownership.stop_all()
        state.known.begin_snapshot()
        self.beat(now)

    def snapshot_done(self, message: SnapshotDone, now: Instant) -> None:
        """Everything HA-B knows has been learned; `installed` says Synced once the kernel has it."""
        state = self._state
        self._ownership.end_snapshot()
        if self.address_mode == "per_instance":
            self._ownership.take_address(state.parameters.address, on_home_link=False, now=now)
        elif state.role == "active":
            self._ownership.take_address(state.shared_address, on_home_link=True, now=now)
        self._snapshot_revision = message.revision
        self.installed(now)

    def installed(self, now: Instant) -> None:
        """After a snapshot, when nothing is left to install: the lease may count from the next acknowledged beat."""
        state = self._state
        if self._snapshot_revision is None or self._ownership.busy:
            return
        revision, self._snapshot_revision = self._snapshot_revision, None
        self.phase = Phase.SYNCED
        state.synced = True
        state.out.append(SendLink(Synced(revision)))
        state.log("synced", epoch=state.epoch, role=state.role, bindings=len(state.known.bindings), served=len(state.served))
        self.beat(now)

    def beat(self, now: Instant) -> None:
        """Send a heartbeat now and plan the next one."""
        if not self.welcomed:
            return
        self._beat_sequence += 1
        self._sent_at[self._beat_sequence] = now.mono
        self._beat_at = now.mono + self._beat_s
        self._state.out.append(SendLink(Beat(self._beat_sequence, self.socket_open, len(self._state.served), self._ownership.lingering)))

    def traffic(self, rows: list[NodeRate]) -> None:
        """Tell HA-B what was measured, also that it was nothing. A standby has nothing to tell."""
        if not self.synced or self._state.role != "active":
            return
        starts = range(0, max(1, len(rows)), TRAFFIC_ROWS)
        for start in starts:
            piece = Traffic(rows[start : start + TRAFFIC_ROWS], first=start == 0, last=start == starts[-1])
            self._state.out.append(SendLink(piece))

    def beat_acknowledged(self, message: BeatAck, now: Instant) -> None:
        """Extend the lease from the time the beat was sent, so that it ends here before it ends at HA-B."""
        sent_at = self._sent_at.get(message.sequence)
        if sent_at is None:
            return
        for sequence in [s for s in self._sent_at if s <= message.sequence]:
            del self._sent_at[sequence]
        state = self._state
        if not self.synced:
            return
        state.lease_until = max(state.lease_until, sent_at + self._lease_s)
        self._ownership.open_gate(now)
        if state.serving(now) and not self._lease_runs:
            self._lease_runs = True
            self._ownership.announce_all(now)
            state.log("lease_held", epoch=state.epoch)

    @property
    def _silence_s(self) -> float:
        return max(SILENCE_S, self._lease_s)

    def _give_up(self) -> None:
        """Hang up; the shell answers with LinkClosed."""
        self._end()
        self._state.out.append(Disconnect())

    def _end(self) -> None:
        self.phase = Phase.IDLE
        self._state.synced = False
        self._beat_at = self._dead_at = self._snapshot_revision = None
        self._sent_at.clear()
