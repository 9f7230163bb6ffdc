"""What the parts of the HA-PP core share."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from closedloop_nf.ha_pp.binding_update import Policy
from closedloop_nf.ha_pp.events import Action, Log
from closedloop_nf.ha_pp.known import Known
from closedloop_nf.link.messages import Binding, HomeAgent
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire.icmpv6 import home_agents_anycast
from closedloop_nf.wire.mobility import FLAG_LINK_LOCAL

UNAUTHENTICATED_PER_S, UNAUTHENTICATED_BURST = 50.0, 100
"""Answers that anybody can provoke: refusals without a key, Binding Errors, discovery (RFC 6275 section 9.3.3 asks for a limit)."""
SIGNED_PER_S, SIGNED_BURST = 1000.0, 2000
"""Refusals that whoever recorded a genuine Binding Update can provoke."""


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
    prefix_min_interval_s: float = 600.0
    """MinMobPfxAdvInterval (RFC 6275 section 13)."""
    prefix_max_interval_s: float = 86_400.0
    """MaxMobPfxAdvInterval."""


class TokenBucket:
    """Bounds how often something happens: `rate_per_s` on average, `burst` at once."""

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


class Served(NamedTuple):
    """What the kernel holds for a home address."""

    care_of_address: bytes
    link_local: bool
    """Its link-local sibling is defended too."""


class State:
    """Role, address, lease, knowledge and the actions of the step in progress."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.role = "standby"
        self.address: bytes | None = None
        """Home agent address in force: where Binding Updates are taken and tunnels begin. None: none."""
        self.epoch = 0
        self.lease_until = 0.0
        self.synced = False
        """HA-B answers: its snapshot has been applied and the session stands."""
        self.home_prefixes: list[tuple[bytes, int]] = []
        self.shared_address = b""
        self.home_agents: list[HomeAgent] = []
        self.max_lifetime_s = parameters.max_lifetime_s
        self.known = Known()
        self.served: dict[bytes, Served] = {}
        """Home addresses installed in the kernel."""
        self.defended: dict[bytes, bytes] = {}
        """Link-local sibling -> home address, for bindings with the L bit."""
        self.counters: Counter[str] = Counter()
        self.unauthenticated = TokenBucket(UNAUTHENTICATED_PER_S, UNAUTHENTICATED_BURST)
        self.signed = TokenBucket(SIGNED_PER_S, SIGNED_BURST)
        self.out: list[Action] = []
        self._policy: Policy | None = None

    def take_actions(self) -> list[Action]:
        """The actions gathered since the last call."""
        actions, self.out = self.out, []
        return actions

    def serving(self, now: Instant) -> bool:
        """Whether this HA-PP may answer for home addresses now."""
        return self.role == "active" and self.address is not None and now.mono < self.lease_until

    def mine(self, row: Binding) -> bool:
        """Whether this HA-PP is to serve the row."""
        return row.owner == self.parameters.name and self.role == "active"

    def policy(self) -> Policy:
        """What `binding_update.judge` is to allow."""
        serving = self.role == "active"
        if self._policy is None or self._policy.serving != serving:
            self._policy = Policy(
                self.home_prefixes,
                self._reserved(),
                self.max_lifetime_s,
                self.parameters.authentication_required,
                self.parameters.timestamp_window_s,
                serving,
            )
        return self._policy

    def policy_changed(self) -> None:
        """Prefixes, home agents, lifetimes or addresses are other ones now."""
        self._policy = None

    def anycast_addresses(self) -> list[bytes]:
        """Where DHAAD requests for the home prefixes go (RFC 6275 section 10.5)."""
        return [home_agents_anycast(prefix, length) for prefix, length in self.home_prefixes if length <= 121]

    def log(self, event: str, **fields: str | int | float | bool | bytes) -> None:
        self.out.append(Log(event, fields))

    def _reserved(self) -> frozenset[bytes]:
        own = {self.parameters.address, self.parameters.home_link_address, self.shared_address}
        routers = {prefix for prefix, _length in self.home_prefixes}  # subnet-router anycast, RFC 4291 section 2.6.1
        return frozenset(own | routers | {agent.address for agent in self.home_agents} | set(self.anycast_addresses()))


def wanted(row: Binding) -> Served:
    """What the kernel is to hold for a row that this HA-PP serves."""
    return Served(row.care_of_address, row.flags & FLAG_LINK_LOCAL != 0)
