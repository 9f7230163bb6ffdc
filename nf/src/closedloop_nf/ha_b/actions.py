"""Actions of the core."""

from __future__ import annotations

import msgspec

from closedloop_nf.ha_b.records import Change
from closedloop_nf.link.messages import ToPacketProcessor


class Send(msgspec.Struct, frozen=True):
    conn: int
    message: ToPacketProcessor


class Close(msgspec.Struct, frozen=True):
    """End the connection after what was sent has left."""

    conn: int
    reason: str


class Persist(msgspec.Struct, frozen=True):
    """Make the changes durable, then feed Persisted. Batches are committed in the order of their numbers; several may share a transaction.

    revision, epoch: the counters' values that go with the batch.
    """

    batch: int
    changes: list[Change]
    revision: int
    epoch: int


class Probe(msgspec.Struct, frozen=True):
    """Try to connect to the health port and feed ProbeResult."""

    name: str
    instance: str
    host: str
    port: int


class Notify(msgspec.Struct, frozen=True):
    """A change of state for the event log. kind: one of EVENT_KINDS; name: the HA-PP, empty where none is meant."""

    kind: str
    name: str
    wall: float
    details: dict[str, str | int | float]


EVENT_KINDS = (
    "hello",  # a session began: epoch, region, role
    "refused",  # a Hello was refused: code
    "superseded",  # a session was replaced by a newer one of the same name
    "ready",  # synced and its socket is open
    "not_ready",  # its socket closed
    "lost",  # a session ended without Bye: reason
    "stopped",  # proven to serve nothing: proof
    "adopted",  # name took over previous_owner's bindings: bindings, duration_ms
    "relinquished",  # planned hand-over: serves nothing any more
    "draining",
    "drained",  # no binding is left
    "resumed",  # the order to drain is taken back
    "switch",  # mobile nodes were asked to move: bindings
    "forgotten",  # removed from the list of home agents by the operator
)


class Reply(msgspec.Struct, frozen=True):
    """Answer to a Request: `problem` is empty on success."""

    request: int
    result: dict[str, str | int | float | bool | None]
    problem: str = ""
    """A code of PROBLEMS."""
    field: str = ""
    message: str = ""


PROBLEMS = {"not_found": 404, "conflict": 409, "invalid": 400}

Action = Send | Close | Persist | Probe | Notify | Reply
