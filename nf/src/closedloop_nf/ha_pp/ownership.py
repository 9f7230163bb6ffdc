"""Which home addresses this HA-PP serves: what HA-B says, carried to the kernel in pieces that never hold up a heartbeat."""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from closedloop_nf.ha_pp.binding_update import link_local
from closedloop_nf.ha_pp.events import (
    Announce,
    AnswerAnycast,
    Defend,
    DropAddress,
    Install,
    Linger,
    Remove,
    RenewLease,
    RevokeLease,
    TakeAddress,
)
from closedloop_nf.ha_pp.prefix_advertising import PrefixAdvertiser
from closedloop_nf.ha_pp.refresh import Refresher
from closedloop_nf.ha_pp.state import State, wanted
from closedloop_nf.link.messages import Adopt, Binding
from closedloop_nf.runtime.clock import Instant

CHUNK = 200
"""Home addresses installed in one step, so that a step takes a few ten milliseconds of kernel work at most."""


LINGER_S = 4.0
"""How long an address that moved to another HA-PP is still forwarded here: what is under way arrives, and the mobile node has time for two
retransmissions of its Binding Update before it sends by the new tunnel."""


class Ownership:
    """Keeps `state.served` and the kernel equal to the rows that are ours. `busy` while some are still to be installed."""

    def __init__(self, state: State, refresher: Refresher, advertiser: PrefixAdvertiser) -> None:
        self._state, self._refresher, self._advertiser = state, refresher, advertiser
        self._backlog: deque[bytes] = deque()
        self._to_announce: deque[bytes] = deque()
        self._lingering: dict[bytes, tuple[bytes, float]] = {}
        """Home address -> care-of address, end (monotonic seconds); in the order of the ends."""

    @property
    def lingering(self) -> int:
        """Home addresses that are another's already and still forwarded here."""
        return len(self._lingering)

    @property
    def busy(self) -> bool:
        return bool(self._backlog)

    def deadline(self) -> float | None:
        if self._state.address is not None and (self._backlog or self._to_announce):
            return 0.0
        return next((end for _care_of, end in self._lingering.values()), None)

    def tick(self, now: Instant) -> None:
        """Announce and install the next pieces. Tunnels begin at the home agent address: without it they wait."""
        self._end_lingering(list(islice((home for home, (_care_of, end) in self._lingering.items() if end <= now.mono), CHUNK)))
        if self._state.address is None:
            return
        if self._to_announce:
            piece = [self._to_announce.popleft() for _next in range(min(CHUNK, len(self._to_announce)))]
            self._announce(piece, now)
        rows: list[Binding] = []
        seen: set[bytes] = set()
        while self._backlog and len(rows) < CHUNK:
            home_address = self._backlog.popleft()
            row = self._state.known.bindings.get(home_address)
            if row is not None and home_address not in seen and self._lacks(row):
                seen.add(home_address)
                rows.append(row)
        self._install(rows, now)

    def apply(self, rows: list[Binding]) -> None:
        """Learn rows pushed by HA-B; serve those that are ours and nothing else."""
        state = self._state
        for row in rows:
            state.known.learn(row)
        gone: list[bytes] = []
        # What the last row of an address says counts: a tombstone and a new binding may come together.
        for home_address in dict.fromkeys(row.home_address for row in rows):
            known = state.known.bindings.get(home_address)
            if known is None or not state.mine(known):
                gone.append(home_address)
            elif self._lacks(known):
                self._backlog.append(home_address)
        self.stop_serving(gone)
        self._end_lingering([home for home in gone if home in self._lingering and not self._lingers_for(home)])

    def serve(self, row: Binding, now: Instant) -> None:
        """A registration of ours became durable: into the kernel at once, its acknowledgement follows."""
        self._state.known.learn(row)
        if self._lacks(row):
            self._install([row], now)
        else:
            self._refresher.plan(row, now)
        self._advertiser.registered(row.home_address, now)

    def forget(self, row: Binding) -> None:
        """A deregistration of ours became durable; `row` has lifetime_s 0."""
        self._state.known.learn(row)
        self.stop_serving([row.home_address])

    def prefixes_known(self, now: Instant) -> None:
        """HA-B has told the home prefixes."""
        self._advertiser.prefixes_known(now)

    def adopt(self, message: Adopt) -> list[bytes]:
        """Take over all rows of `previous_owner`, of nobody where that is empty; returns their home addresses."""
        state = self._state
        name = state.parameters.name
        # A revoked row has no owner here until HA-B names the new one: it is nobody's to adopt.
        previous = message.previous_owner
        taken = [row for row in state.known.bindings.values() if previous and row.owner == previous]
        for row in taken:
            state.known.learn(msgspec.structs.replace(row, owner=name, epoch=message.epoch, revision=message.revision))
        # All of ours, not only the new ones: a standby serves nothing, so rows it owned from before are not in the kernel either.
        self._backlog.extend(row.home_address for row in state.known.bindings.values() if self._lacks(row))
        return [row.home_address for row in taken]

    def end_snapshot(self) -> None:
        """The snapshot is complete: what it did not name or gave to others is not served."""
        state = self._state
        state.known.end_snapshot()
        bindings = state.known.bindings
        self.stop_serving([home for home in state.served if (row := bindings.get(home)) is None or not state.mine(row)])

    def revoke(self, home_address: bytes, now: Instant) -> None:
        """HA-B gives the address to another HA-PP; what it was bound to stays known for sequence and replay checks.

        Nothing here draws its traffic any more. What comes nevertheless, as it was sent before the move was known, is forwarded for a time.
        """
        row = self._state.known.bindings.get(home_address)
        if row is not None and row.owner == self._state.parameters.name:
            self._state.known.learn(msgspec.structs.replace(row, owner=""))
        held = self._state.served.get(home_address)
        if held is None:
            return
        siblings = self._let_go([home_address])
        if siblings:
            self._state.out.append(Remove(siblings))
        self._state.out.append(Linger([home_address]))
        self._lingering[home_address] = (held.care_of_address, now.mono + LINGER_S)

    def stop_serving(self, home_addresses: list[bytes]) -> None:
        """Take these out of the kernel, as far as they are served."""
        gone = [home_address for home_address in home_addresses if home_address in self._state.served]
        if gone:
            self._state.out.append(Remove(gone + self._let_go(gone)))

    def _let_go(self, home_addresses: list[bytes]) -> list[bytes]:
        """Count these as served no more; returns the link-local siblings that are defended no more."""
        state = self._state
        siblings: list[bytes] = []
        for home_address in home_addresses:
            sibling = link_local(home_address)
            if state.served.pop(home_address).link_local and state.defended.get(sibling) == home_address:
                siblings.append(sibling)
                del state.defended[sibling]
            self._refresher.cancel(home_address)
            self._advertiser.cancel(home_address)
        return siblings

    def _lingers_for(self, home_address: bytes) -> bool:
        """Whether the binding is still the one that is forwarded here, only another's."""
        row = self._state.known.bindings.get(home_address)
        return row is not None and row.care_of_address == self._lingering[home_address][0]

    def _end_lingering(self, home_addresses: list[bytes]) -> None:
        if home_addresses:
            for home_address in home_addresses:
                del self._lingering[home_address]
            self._state.out.append(Remove(home_addresses))

    def take_address(self, address: bytes, *, on_home_link: bool, now: Instant) -> None:
        """Begin to answer at the home agent address; opens the kernel's gate when the lease lives."""
        state = self._state
        if state.address != address:
            self.drop_address()
            state.address = address
            state.out.append(TakeAddress(address, on_home_link))
        self.open_gate(now)
        self.announce_all(now)

    def announce_all(self, now: Instant) -> None:
        """Draw the home link's traffic here, piece by piece. It leaves only through an open gate, so again when a lease begins."""
        state = self._state
        if not state.serving(now):
            return
        state.out.append(AnswerAnycast(state.anycast_addresses()))
        if state.address is not None and state.address != state.parameters.address:
            self._announce([state.address], now)
        self._to_announce = deque([*state.served, *state.defended])

    def open_gate(self, now: Instant) -> None:
        """Let the kernel forward for what is left of the lease."""
        if self._state.serving(now):
            self._state.out.append(RenewLease(self._state.lease_until))

    def drop_address(self) -> None:
        if self._state.address is not None:
            self._state.out.append(AnswerAnycast([]))
            self._state.out.append(DropAddress(self._state.address))
            self._state.address = None
            self._to_announce.clear()

    def stop_all(self) -> None:
        """Serve nothing: kernel gate closed first."""
        state = self._state
        self._backlog.clear()
        self._to_announce.clear()
        state.out.append(RevokeLease())
        state.out.append(AnswerAnycast([]))
        self.stop_serving(list(state.served))
        self._end_lingering(list(self._lingering))
        if state.address != state.parameters.address:
            self.drop_address()

    def _lacks(self, row: Binding) -> bool:
        return self._state.mine(row) and self._state.served.get(row.home_address) != wanted(row)

    def _install(self, rows: list[Binding], now: Instant) -> None:
        if not rows:
            return
        state = self._state
        fresh: list[bytes] = []
        begin: list[bytes] = []
        end: list[bytes] = []
        for row in rows:
            home_address = row.home_address
            held, want = state.served.get(home_address), wanted(row)
            state.served[home_address] = want
            self._lingering.pop(home_address, None)
            if held is None:
                fresh.append(home_address)
                self._advertiser.served(home_address, now)
            sibling = link_local(home_address) if want.link_local or (held is not None and held.link_local) else b""
            if want.link_local and sibling not in state.defended:
                state.defended[sibling] = home_address
                begin.append(sibling)
            elif not want.link_local and state.defended.get(sibling) == home_address:
                del state.defended[sibling]
                end.append(sibling)
            self._refresher.plan(row, now)
        if end:
            state.out.append(Remove(end))
        state.out.append(Install([(row.home_address, row.care_of_address) for row in rows]))
        if begin:
            state.out.append(Defend(begin))
        self._announce(fresh + begin, now)

    def _announce(self, addresses: list[bytes], now: Instant) -> None:
        """Say that these are here. Without a lease nothing would leave: `announce_all` comes with it."""
        if addresses and self._state.serving(now):
            self._state.out.append(Announce(addresses))
