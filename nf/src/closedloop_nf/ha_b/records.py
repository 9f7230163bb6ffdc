"""What is durable, and the changes that are committed to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from closedloop_nf.link.messages import Binding, SecurityAssociation


class HomeAgentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What HA-B remembers of an HA-PP, by name."""

    name: str
    epoch: int
    """Of its last accepted session."""
    instance: str
    host_id: str
    region: str
    address: bytes
    home_link_address: bytes
    health_host: str
    """Where its link came from: the health port is probed there."""
    health_port: int
    role: str
    """As its configuration asks: `active` or `standby`."""
    serving: bool
    """In force: it serves, and somebody has to take over when it stops."""
    draining: bool = False


@dataclass(slots=True)
class State:
    """Everything durable, as loaded at start. `bindings` holds tombstones (lifetime_s 0) too."""

    revision: int = 0
    epoch: int = 0
    lease_ms: int = 0
    """How long a lease of an earlier run may live on."""
    home_agents: list[HomeAgentRecord] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    associations: list[SecurityAssociation] = field(default_factory=list)
    boot: int = 0
    """Start of the machine by whose clock the bindings expire, and its wall time (runtime/clock.py, SteadyClock)."""
    boot_began_us: int = 0


# --- changes: applied in order inside one transaction -----------------------------------------------------------------


class PutBinding(msgspec.Struct, frozen=True, gc=False):
    """Insert or replace a row by home address; lifetime_s 0 stores a tombstone."""

    row: Binding


class MoveBindings(msgspec.Struct, frozen=True):
    """Every live row of `previous` gets this owner, epoch and revision."""

    previous: str
    owner: str
    epoch: int
    revision: int


class PurgeBindings(msgspec.Struct, frozen=True):
    """Forget these tombstones."""

    home_addresses: list[bytes]


class PutHomeAgent(msgspec.Struct, frozen=True):
    record: HomeAgentRecord


class DeleteHomeAgent(msgspec.Struct, frozen=True):
    name: str


class PutAssociation(msgspec.Struct, frozen=True):
    """Insert or replace; `removed` deletes."""

    row: SecurityAssociation


Change = PutBinding | MoveBindings | PurgeBindings | PutHomeAgent | DeleteHomeAgent | PutAssociation
