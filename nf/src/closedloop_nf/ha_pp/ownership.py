"""Which home addresses this HA-PP serves: what HA-B says, carried to the kernel in pieces that never hold up a heartbeat."""

from __future__ import annotations

from collections import deque

import msgspec

from closedloop_nf.ha_pp.events import Announce, DropAddress, Install, Remove, RenewLease, RevokeLease, TakeAddress
from closedloop_nf.ha_pp.state import State
from closedloop_nf.link.messages import Adopt, Binding
from closedloop_nf.runtime.clock import Instant

CHUNK = 500
"""Home addresses installed in one step; about 50 ms of kernel work."""


class Ownership:
    """Keeps `state.served` and the kernel equal to the rows whose owner is this HA-PP."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._backlog: deque[bytes] = deque()

    def deadline(self) -> float | None:
        return 0.0 if self._backlog else None

    def tick(self) -> None:
        """Install the next piece of the backlog."""
        rows: list[Binding] = []
        while self._backlog and len(rows) < CHUNK:
            row = self._state.known.bindings.get(self._backlog.popleft())
            if row is not None and row.owner == self._state.parameters.name and row.home_address not in self._state.served:
                rows.append(row)
        self._install(rows)

    def apply(self, rows: list[Binding]) -> None:
        """Learn rows pushed by HA-B; serve those that are ours and nothing else."""
        state = self._state
        mine: list[Binding] = []
        gone: list[bytes] = []
        for row in rows:
            before = state.known.bindings.get(row.home_address)
            state.known.learn(row)
            if row.lifetime_s and row.owner == state.parameters.name:
                moved = before is None or before.care_of_address != row.care_of_address
                if row.home_address not in state.served or moved:
                    mine.append(row)
            elif row.home_address in state.served:
                gone.append(row.home_address)
        self.stop_serving(gone)
        self._install(mine)

    def serve(self, row: Binding) -> None:
        """A registration of ours became durable."""
        before = self._state.known.bindings.get(row.home_address)
        self._state.known.learn(row)
        if row.home_address not in self._state.served or before is None or before.care_of_address != row.care_of_address:
            self._install([row])

    def adopt(self, message: Adopt) -> int:
        """Take over all rows of `previous_owner`; returns how many."""
        state = self._state
        taken = [row for row in state.known.bindings.values() if row.owner == message.previous_owner]
        for row in taken:
            state.known.learn(msgspec.structs.replace(row, owner=state.parameters.name, epoch=message.epoch, revision=message.revision))
            self._backlog.append(row.home_address)
        self.tick()
        return len(taken)

    def end_snapshot(self) -> None:
        """The snapshot is complete: what it did not name or gave to others is not served."""
        state = self._state
        state.known.end_snapshot()
        self.stop_serving([h for h in state.served if not self._is_mine(h)])

    def revoke(self, home_address: bytes) -> None:
        """HA-B gives the address to another HA-PP; what it was bound to stays known for sequence and replay checks."""
        row = self._state.known.bindings.get(home_address)
        if row is not None:
            self._state.known.learn(msgspec.structs.replace(row, owner=""))
        if home_address in self._state.served:
            self.stop_serving([home_address])

    def stop_serving(self, home_addresses: list[bytes]) -> None:
        if home_addresses:
            self._state.served.difference_update(home_addresses)
            self._state.out.append(Remove(home_addresses))

    def take_address(self, address: bytes, *, on_home_link: bool, now: Instant) -> None:
        """Begin to answer at the home agent address; opens the kernel's gate when the lease lives."""
        state = self._state
        if state.address != address:
            self.drop_address()
            state.address = address
            state.out.append(TakeAddress(address, on_home_link))
        if now.mono < state.lease_until:
            state.out.append(RenewLease(state.lease_until))
        if on_home_link:
            state.out.append(Announce([address]))
        state.out.append(Announce(list(state.served)))

    def drop_address(self) -> None:
        if self._state.address is not None:
            self._state.out.append(DropAddress(self._state.address))
            self._state.address = None

    def stop_all(self) -> None:
        """Serve nothing: kernel gate closed first."""
        state = self._state
        self._backlog.clear()
        state.out.append(RevokeLease())
        self.stop_serving(list(state.served))
        if state.address != state.parameters.address:
            self.drop_address()

    def _install(self, rows: list[Binding]) -> None:
        if not rows:
            return
        state = self._state
        state.out.append(Install([(row.home_address, row.care_of_address) for row in rows]))
        fresh = [row.home_address for row in rows if row.home_address not in state.served]
        state.served.update(fresh)
        if fresh and state.address is not None and state.role == "active":
            state.out.append(Announce(fresh))

    def _is_mine(self, home_address: bytes) -> bool:
        row = self._state.known.bindings.get(home_address)
        return row is not None and row.owner == self._state.parameters.name
