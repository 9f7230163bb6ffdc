"""What the parts of the HA-PP core share."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from closedloop_nf.ha_pp.binding_update import Policy
from closedloop_nf.ha_pp.events import Action, Log
from closedloop_nf.ha_pp.known import Known
from closedloop_nf.link.messages import HomeAgent
from closedloop_nf.runtime.clock import Instant


class Parameters(NamedTuple):
    """What a start fixes: the configuration's facts and the identity of this process (see link.messages.Hello)."""

    name: str
    instance: str
    host_id: str
    region: str
    address: bytes
    home_link_address: bytes
    health_port: int
    role: str
    token: str
    data_plane: str
    authentication_required: bool = True
    timestamp_window_s: float = 7.0
    max_lifetime_s: int = 3600
    detect_duplicates: bool = True


class TokenBucket:
    """Bounds the answers that unauthenticated senders can provoke (RFC 6275 section 9.3.3 asks for a limit)."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate, self._burst = rate_per_s, burst
        self._level, self._filled_at = float(burst), 0.0

    def take(self, now: Instant) -> bool:
        self._level = min(self._burst, self._level + (now.mono - self._filled_at) * self._rate)
        self._filled_at = now.mono
        if self._level < 1:
            return False
        self._level -= 1
        return True


class State:
    """Role, address, lease, knowledge and the actions of the step in progress."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.role = "standby"
        self.address: bytes | None = None
        """Home agent address in force: where Binding Updates are taken and tunnels begin. None: none."""
        self.epoch = 0
        self.lease_until = 0.0
        self.home_prefixes: list[tuple[bytes, int]] = []
        self.home_agents: list[HomeAgent] = []
        self.max_lifetime_s = parameters.max_lifetime_s
        self.known = Known()
        self.served: set[bytes] = set()
        """Home addresses installed in the kernel."""
        self.counters: Counter[str] = Counter()
        self.unsolicited = TokenBucket(50.0, 100)
        self.out: list[Action] = []

    def take_actions(self) -> list[Action]:
        """The actions gathered since the last call."""
        actions, self.out = self.out, []
        return actions

    def serving(self, now: Instant) -> bool:
        """Whether this HA-PP may answer for home addresses now."""
        return self.role == "active" and self.address is not None and now.mono < self.lease_until

    def policy(self) -> Policy:
        return Policy(
            self.home_prefixes,
            self.max_lifetime_s,
            self.parameters.authentication_required,
            self.parameters.timestamp_window_s,
            serving=self.role == "active",
        )

    def log(self, event: str, **fields: str | int | float | bool | bytes) -> None:
        self.out.append(Log(event, fields))
