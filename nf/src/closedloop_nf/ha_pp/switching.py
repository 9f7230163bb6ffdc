"""RFC 5142: tell mobile nodes to use another home agent, again and again until they have or the patience ends."""

from __future__ import annotations

import heapq

from closedloop_nf.ha_pp import replies
from closedloop_nf.ha_pp.state import State
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import authentication

FIRST_REPEAT_S = 0.1
"""RFC 5142 section 4.3 leaves the interval to the sender but doubles it; a failover wants the first repeat early."""
ATTEMPTS = 6
AT_ONCE = 200
"""Messages signed and sent in one step, so that ten thousand do not hold up a heartbeat."""


class Switcher:
    """Sends Home Agent Switch to home addresses that are ours until `done` or `registered` is called for them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._targets: dict[bytes, tuple[list[bytes], int, float]] = {}
        self._due: list[tuple[float, bytes]] = []

    def deadline(self) -> float | None:
        return self._due[0][0] if self._due else None

    def begin(self, home_addresses: list[bytes], home_agents: list[bytes], now: Instant) -> None:
        """Tell the nodes of these home addresses to register with the first reachable of `home_agents`."""
        for home_address in home_addresses:
            if home_address not in self._targets:
                heapq.heappush(self._due, (now.mono, home_address))
                self._targets[home_address] = (home_agents, 0, now.mono)
            else:
                # Asked again: what is planned stays planned, with the new list.
                self._targets[home_address] = (home_agents, *self._targets[home_address][1:])

    def registered(self, home_address: bytes) -> None:
        """The node has registered here; that ends it if this is where it was told to go."""
        target = self._targets.get(home_address)
        if target is not None and self._state.address in target[0]:
            del self._targets[home_address]

    def done(self, home_address: bytes) -> None:
        """The node is no longer ours, or gone."""
        self._targets.pop(home_address, None)

    def stop(self) -> None:
        """Nobody is to be told anything any more."""
        self._targets.clear()
        self._due.clear()

    def tick(self, now: Instant) -> None:
        for _step in range(AT_ONCE):
            if not self._due or self._due[0][0] > now.mono:
                return
            due, home_address = heapq.heappop(self._due)
            target = self._targets.get(home_address)
            if target is None or target[2] != due:
                continue
            home_agents, attempt, _due = target
            if attempt == ATTEMPTS or not self._send(home_address, home_agents, now):
                del self._targets[home_address]
                continue
            again = now.mono + FIRST_REPEAT_S * 2**attempt
            self._targets[home_address] = (home_agents, attempt + 1, again)
            heapq.heappush(self._due, (again, home_address))

    def _send(self, home_address: bytes, home_agents: list[bytes], now: Instant) -> bool:
        state = self._state
        row = state.known.bindings.get(home_address)
        key = state.known.signing_key(home_address)
        if row is None or state.address is None or not state.mine(row):
            return False
        if key is None:
            state.counters["home_agent_switch_without_key"] += 1
            return False
        state.counters["home_agent_switches_sent"] += 1
        state.out.append(
            replies.home_agent_switch(
                source=state.address,
                home_address=home_address,
                care_of_address=row.care_of_address,
                home_agents=home_agents,
                timestamp=authentication.ntp_timestamp(now.wall),
                spi=key[0],
                key=key[1],
            )
        )
        return True
