"""The HA-PP's side of the link: dial, Hello, snapshot, heartbeat, lease."""

from __future__ import annotations

import random

from closedloop_nf.ha_pp.events import Connect, Disconnect, RenewLease, SendLink
from closedloop_nf.ha_pp.ownership import Ownership
from closedloop_nf.ha_pp.state import State
from closedloop_nf.link.messages import Beat, BeatAck, Hello, Refused, SnapshotDone, Synced, Welcome
from closedloop_nf.runtime.clock import Instant

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0


class Session:
    """One link at a time; `connected`, then `welcomed`, then `synced`."""

    def __init__(self, state: State, ownership: Ownership, rng: random.Random) -> None:
        self._state, self._ownership, self._rng = state, ownership, rng
        self.socket_open = False
        self.connected = False
        self.welcomed = False
        self.synced = False
        self.address_mode = ""
        self._retry_s = FIRST_RETRY_S
        self._connect_at: float | None = 0.0
        self._beat_at: float | None = None
        self._beat_s = self._lease_s = 0.0
        self._beat_sequence = 0
        self._sent_at: dict[int, float] = {}
        self._holds_shared_address = False
        self._shared_address = b""

    def deadline(self) -> float | None:
        return min((at for at in (self._connect_at, self._beat_at) if at is not None), default=None)

    def tick(self, now: Instant) -> None:
        if self._connect_at is not None and now.mono >= self._connect_at:
            self._connect_at = None
            self._state.out.append(Connect())
        if self._beat_at is not None and now.mono >= self._beat_at:
            self.beat(now)

    def connect_done(self) -> None:
        parameters = self._state.parameters
        self.connected = True
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
            self._state.log("link_closed")
        self.connected = self.welcomed = self.synced = False
        self._beat_at = None
        self._sent_at.clear()
        self._connect_at = now.mono + self._retry_s * self._rng.uniform(0.5, 1.0)
        self._retry_s = min(LAST_RETRY_S, self._retry_s * 2)

    def refused(self, message: Refused) -> None:
        self._state.log("refused", code=message.code, message=message.message)
        self._state.out.append(Disconnect())

    def welcome(self, message: Welcome, now: Instant) -> None:
        state = self._state
        self.welcomed, self._retry_s = True, FIRST_RETRY_S
        self._beat_s, self._lease_s = message.beat_ms / 1000, message.lease_ms / 1000
        self.address_mode = message.address_mode
        self._holds_shared_address, self._shared_address = message.holds_shared_address, message.shared_address
        state.epoch = message.epoch
        state.home_prefixes = list(message.home_prefixes)
        state.home_agents = list(message.home_agents)
        state.max_lifetime_s = min(message.max_lifetime_s, state.parameters.max_lifetime_s)
        state.role = message.role
        if state.role != "active" or (message.address_mode == "shared" and not message.holds_shared_address):
            self._ownership.stop_all()
        state.known.begin_snapshot()
        self.beat(now)

    def snapshot_done(self, message: SnapshotDone, now: Instant) -> None:
        """Everything HA-B knows has been applied: the lease may count from the next acknowledged beat."""
        state = self._state
        self._ownership.end_snapshot()
        if self.address_mode == "per_instance":
            self._ownership.take_address(state.parameters.address, on_home_link=False, now=now)
        elif self._holds_shared_address:
            self._ownership.take_address(self._shared_address, on_home_link=True, now=now)
        self.synced = True
        state.out.append(SendLink(Synced(message.revision)))
        state.log("synced", epoch=state.epoch, bindings=len(state.known.bindings), served=len(state.served))
        self.beat(now)

    def beat(self, now: Instant) -> None:
        """Send a heartbeat now and plan the next one."""
        if not self.welcomed:
            return
        self._beat_sequence += 1
        self._sent_at[self._beat_sequence] = now.mono
        self._beat_at = now.mono + self._beat_s
        self._state.out.append(SendLink(Beat(self._beat_sequence, self.socket_open, len(self._state.served))))

    def beat_acknowledged(self, message: BeatAck) -> None:
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
        if state.role == "active":
            state.out.append(RenewLease(state.lease_until))
