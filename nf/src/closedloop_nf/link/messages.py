"""Messages of the link between HA-PP and HA-B.

The HA-PP dials, the HA-B answers. One TLS connection is one session. Messages are ordered and reliable inside a session and lost with it.
docs/architecture.md, "Who owns a home address", states the rules these messages serve.

    HA-PP -> HA-B   Hello, Synced, Beat, Traffic, Register, Revoked, Relinquished, Bye
    HA-B -> HA-PP   Refused, Welcome, Bindings, SecurityAssociations, SnapshotDone,
                    HomeAgents, BeatAck, Registered, Revoke, Adopt, Relinquish, SwitchHomeAgent

Start of a session:  Hello -> Welcome, Bindings*, SecurityAssociations*, SnapshotDone -> Synced. After SnapshotDone the HA-PP's view equals
the HA-B's; every later change is pushed as Bindings / SecurityAssociations in commit order.
Addresses are 16 octets. Times named `_ms` are milliseconds; `expires_at` is UNIX seconds.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

PROTOCOL_VERSION = 1
TRAFFIC_ROWS = 1000

# Checked when a message is decoded; a value outside is a FramingError.
Octets16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
U16 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
U32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
Counter = Annotated[int, msgspec.Meta(ge=0)]
Label = Annotated[str, msgspec.Meta(max_length=255)]


class Binding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of the binding cache (RFC 6275 section 9.1 with section 10.1's home agent additions)."""

    home_address: Octets16
    care_of_address: Octets16
    sequence: U16
    """Sequence Number of the last accepted Binding Update, 0..65535."""
    lifetime_s: U32
    """Granted lifetime in seconds, a multiple of 4. 0 tells that the binding is gone (a tombstone in a push)."""
    expires_at: float
    flags: U16
    """The Binding Update's flag bits as on the wire: A 0x8000, H 0x4000, L 0x2000, K 0x1000."""
    owner: Label
    """Name of the HA-PP that serves it."""
    epoch: Counter
    """The owner's session epoch when it got the binding."""
    timestamp: Counter = 0
    """Last accepted RFC 4285 replay protection timestamp (64-bit NTP), 0 where none was."""
    revision: Counter = 0
    """HA-B's commit counter; grows with every change of any binding."""


class SecurityAssociation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A mobility security association of RFC 4285 section 5: shared key of one mobile node."""

    home_address: Octets16
    spi: U32
    key: bytes
    removed: bool = False

    def __repr__(self) -> str:
        return f"SecurityAssociation({self.home_address.hex()}, spi={self.spi}, removed={self.removed})"


class HomeAgent(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the home agents list (RFC 6275 section 10.1) for DHAAD."""

    address: Octets16
    preference: U16
    lifetime_s: U16


# --- HA-PP -> HA-B ---------------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First message. `instance` is random per process; `host_id` names machine and network namespace (boot id + netns inode)."""

    name: Label
    instance: Label
    host_id: Label
    region: Label
    address: Octets16
    """The instance's own home agent address (used in `per_instance`)."""
    home_link_address: Octets16
    """Its address on the home link."""
    health_port: U16
    """TCP port whose refusal proves that the process is gone; reached at the address the link came from."""
    role: Label
    """`active`: takes registrations at its own address. `standby`: serves nothing until Adopt."""
    token: str = ""
    """Shared secret; empty where the link's client certificate authenticates (its common name is then the name)."""
    data_plane: Label = ""
    version: int = PROTOCOL_VERSION

    def __repr__(self) -> str:
        return f"Hello(name={self.name!r}, instance={self.instance!r}, host_id={self.host_id!r}, role={self.role!r})"


class Synced(msgspec.Struct, frozen=True, tag="synced"):
    """The snapshot up to `revision` has been applied to the kernel; the lease may start."""

    revision: int


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Heartbeat, every `beat_ms`. `sequence` grows by one."""

    sequence: int
    socket_open: bool
    """State of the raw Mobility Header socket: readiness and liveness are this."""
    bindings: int = 0
    lingering: Counter = 0
    """Home addresses that moved to another HA-PP, whose packets under way are still forwarded here."""


class NodeRate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a mobile node sent and got, in bit/s of the packets inside the tunnel."""

    home_address: Octets16
    from_node_bit_per_s: Counter
    to_node_bit_per_s: Counter


class Traffic(msgspec.Struct, frozen=True, tag="traffic"):
    """The rates of an interval, of the mobile nodes that had traffic in it; in pieces of at most TRAFFIC_ROWS where there are many.

    What is not in the pieces from `first` to `last` had none.
    """

    rows: list[NodeRate]
    first: bool
    last: bool


class Register(msgspec.Struct, frozen=True, tag="register"):
    """Ask HA-B to make a validated Binding Update durable. lifetime_s 0 deregisters."""

    transaction: Counter
    home_address: Octets16
    care_of_address: Octets16
    sequence: U16
    lifetime_s: U32
    flags: U16
    timestamp: Counter


class Revoked(msgspec.Struct, frozen=True, tag="revoked"):
    """This HA-PP no longer answers for the address (its proxy entry is gone from the kernel). For a bounded time, under its lease, it still
    forwards what was sent to it or by it before: nothing of a moved mobile node is lost."""

    home_address: Octets16
    revision: int


class Relinquished(msgspec.Struct, frozen=True, tag="relinquished"):
    """Answer to Relinquish: nothing is served here any more."""

    revision: int


class Bye(msgspec.Struct, frozen=True, tag="bye"):
    """Clean stop: nothing is served any more; everything owned may be given away at once."""

    reason: str = ""


# --- HA-B -> HA-PP ---------------------------------------------------------------------------------------------------


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Hello or session refused; the HA-B closes. code: `authentication`, `version`, `malformed`, `name_in_use`, `superseded`."""

    code: str
    message: str


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Session accepted."""

    epoch: int
    beat_ms: int
    lease_ms: int
    role: str
    """Role in force (HA-B decides): `active` or `standby`."""
    address_mode: str
    """`per_instance` or `shared`."""
    shared_address: bytes = b""
    """The moving home agent address (mode `shared`), whoever holds it."""
    holds_shared_address: bool = False
    home_prefixes: list[tuple[bytes, int]] = []
    max_lifetime_s: int = 3600
    home_agents: list[HomeAgent] = []


class Bindings(msgspec.Struct, frozen=True, tag="bindings"):
    """Rows in commit order: snapshot chunk before SnapshotDone, changes after. A row with lifetime_s 0 removes."""

    rows: list[Binding]


class SecurityAssociations(msgspec.Struct, frozen=True, tag="sas"):
    rows: list[SecurityAssociation]


class SnapshotDone(msgspec.Struct, frozen=True, tag="snapshot_done"):
    """Whatever the HA-PP knew before this session and was not in the snapshot is gone."""

    revision: int


class HomeAgents(msgspec.Struct, frozen=True, tag="home_agents"):
    """New home agents list."""

    rows: list[HomeAgent]


class BeatAck(msgspec.Struct, frozen=True, tag="beat_ack"):
    """Extends the lease to the Beat's sending time + lease_ms."""

    sequence: int


class Registered(msgspec.Struct, frozen=True, tag="registered"):
    """Answer to Register. status as in a Binding Acknowledgement (RFC 6275 section 6.1.8, RFC 4285 section 4); below 128 it is durable."""

    transaction: int
    status: int
    lifetime_s: int
    sequence: int
    """Sequence Number for the acknowledgement: the request's, or the last accepted one with status 135."""
    revision: int
    timestamp: int = 0
    """With status 144: the timestamp last accepted."""


class Revoke(msgspec.Struct, frozen=True, tag="revoke"):
    """Stop serving the address (another HA-PP takes it), then answer Revoked."""

    home_address: Octets16
    revision: int


class Adopt(msgspec.Struct, frozen=True, tag="adopt"):
    """All bindings of `previous_owner` are yours from `revision` on, durable already.

    Every row the receiver knows with that owner changes to itself and `epoch`. With `shared_address` the receiver also takes that
    home agent address; with `switch` it tells each mobile node by RFC 5142. The receiver's role becomes `active`.
    """

    previous_owner: str
    epoch: int
    revision: int
    shared_address: bytes = b""
    switch: bool = False


class Relinquish(msgspec.Struct, frozen=True, tag="relinquish"):
    """Planned hand-over: stop serving everything (and the shared address), become standby, answer Relinquished."""

    revision: int


class SwitchHomeAgent(msgspec.Struct, frozen=True, tag="switch_home_agent"):
    """Send RFC 5142 Home Agent Switch naming `home_agents` to the mobile nodes of these home addresses (scale-out, drain)."""

    home_addresses: list[bytes]
    home_agents: list[bytes]


ToBackend = Hello | Synced | Beat | Traffic | Register | Revoked | Relinquished | Bye
ToPacketProcessor = (
    Refused
    | Welcome
    | Bindings
    | SecurityAssociations
    | SnapshotDone
    | HomeAgents
    | BeatAck
    | Registered
    | Revoke
    | Adopt
    | Relinquish
    | SwitchHomeAgent
)
