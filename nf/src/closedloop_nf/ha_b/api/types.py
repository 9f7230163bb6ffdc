"""Bodies of the API. The OpenAPI document is made from these types, and so are the answers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Flag = Literal["A", "H", "L", "K"]
HomeAgentCondition = Literal["ready", "syncing", "socket_closed", "lost", "stopped"]
AddressText = Annotated[str, Meta(description="IPv6 address, RFC 5952 text.", extra_json_schema={"format": "ipv6"})]

Rate = Annotated[int, Meta(description="Measured by HA-PPs in the last second, without what tunnels add; 0 where nothing was measured.")]


class BindingView(msgspec.Struct):
    """A binding (RFC 6275 section 9.1)."""

    home_address: AddressText
    care_of_address: AddressText
    owner: Annotated[str, Meta(description="HA-PP that serves it.")]
    epoch: Annotated[int, Meta(description="The owner's session epoch when it got the binding.")]
    sequence: Annotated[int, Meta(ge=0, le=65535)]
    lifetime_s: Annotated[int, Meta(description="Granted lifetime.")]
    expires_at: Annotated[float, Meta(description="UNIX seconds.")]
    flags: Annotated[list[Flag], Meta(description="Flag bits of the Binding Update.")]
    revision: int
    from_node_bit_per_s: Rate
    to_node_bit_per_s: Rate


class BindingPage(msgspec.Struct):
    bindings: list[BindingView]
    next: Annotated[str | None, Meta(description="Cursor of the next page; null on the last one.")]


class HomeAgentView(msgspec.Struct):
    """An HA-PP as HA-B sees it."""

    name: str
    state: Annotated[
        HomeAgentCondition,
        Meta(
            description="ready: synced, socket open. syncing: connected. socket_closed: synced, cannot take Binding Updates. "
            "lost: not connected, may still serve until its lease ends. stopped: proven to serve nothing."
        ),
    ]
    role: Literal["active", "standby"]
    serving: Annotated[bool, Meta(description="Serves, or its succession is open.")]
    draining: bool
    holds_shared_address: bool
    region: str
    address: AddressText
    home_link_address: AddressText
    epoch: int
    bindings: int
    proof: Annotated[str, Meta(description="Why it is certain that it serves nothing; empty where it may serve.")]
    lease_ms: Annotated[int, Meta(description="Milliseconds until it serves nothing any more unless it beats again.")]
    instance: str
    host_id: str
    from_node_bit_per_s: Rate
    to_node_bit_per_s: Rate
    lingering: Annotated[int, Meta(description="Mobile nodes that moved to another HA-PP and whose packets under way it still forwards.")]


class HomeAgentPage(msgspec.Struct):
    home_agents: list[HomeAgentView]
    next: Annotated[str | None, Meta(description="Cursor of the next page; null on the last one.")]


class MobileNodeView(msgspec.Struct):
    """A mobile node; keys are never shown."""

    home_address: AddressText
    spis: list[int]
    bound: bool


class MobileNodePage(msgspec.Struct):
    mobile_nodes: list[MobileNodeView]
    next: Annotated[str | None, Meta(description="Cursor of the next page; null on the last one.")]


class EventView(msgspec.Struct):
    """A change of state."""

    id: int
    kind: str
    name: Annotated[str, Meta(description="The HA-PP it is about.")]
    wall: Annotated[float, Meta(description="UNIX seconds.")]
    details: dict[str, str | int | float]


class EventPage(msgspec.Struct):
    events: list[EventView]
    last: Annotated[int, Meta(description="Give it as `since` next time.")]
    missed: Annotated[bool, Meta(description="Events between `since` and the first one here are gone.")]


# --- requests --------------------------------------------------------------------------------------------------------


class FenceBody(msgspec.Struct, forbid_unknown_fields=True):
    stopped: Annotated[bool, Meta(description="The caller has made sure that it serves nothing.")] = False


class PromoteBody(msgspec.Struct, forbid_unknown_fields=True):
    previous_owner: Annotated[str, Meta(description="Who is to stop; needed where several are active.")] = ""


class SwitchBody(msgspec.Struct, forbid_unknown_fields=True):
    to: Annotated[str, Meta(description="HA-PP to which the mobile nodes shall move.")]
    count: Annotated[int, Meta(ge=0, description="How many mobile nodes; or give home_addresses.")] = 0
    home_addresses: list[AddressText] = []


class SecurityAssociationBody(msgspec.Struct, forbid_unknown_fields=True):
    spi: Annotated[int, Meta(ge=256, le=4294967295, description="0 to 255 are reserved (RFC 4285 section 5).")]
    key: Annotated[
        str,
        Meta(pattern="^([0-9a-fA-F]{2}){16,64}$", description="Hexadecimal, 16 to 64 octets.", extra_json_schema={"writeOnly": True}),
    ]

    def __repr__(self) -> str:
        return f"SecurityAssociationBody(spi={self.spi})"


class MobileNodeBody(msgspec.Struct, forbid_unknown_fields=True):
    """All security associations of the mobile node; those not named are removed."""

    security_associations: Annotated[list[SecurityAssociationBody], Meta(min_length=1, max_length=16)]


# --- answers to commands ---------------------------------------------------------------------------------------------


class Fenced(msgspec.Struct):
    name: str
    proof: Annotated[str | None, Meta(description="null: it was cut off, and is proven stopped when its lease has ended.")]
    lease_ms: int


class Promoted(msgspec.Struct):
    name: str
    previous_owner: str
    state: Literal["serving", "adopting"]


class Drained(msgspec.Struct):
    name: str
    draining: bool
    bindings: int


class Switched(msgspec.Struct):
    name: str
    to: str
    bindings: int


class MobileNodeStored(msgspec.Struct):
    created: bool
    changed: bool


class Removed(msgspec.Struct):
    removed: bool


class ErrorDetail(msgspec.Struct):
    code: str
    field: str
    message: str


class ErrorBody(msgspec.Struct):
    error: ErrorDetail
