"""Inputs of the core."""

from __future__ import annotations

import msgspec

from closedloop_nf.ha_b.commands import Command
from closedloop_nf.link.messages import ToBackend


class LinkOpened(msgspec.Struct, frozen=True):
    """A connection's TLS handshake is done. conn: never used twice. peer: the text address it came from.

    identity: common name of its verified client certificate, None where it has none.
    """

    conn: int
    peer: str
    identity: str | None = None


class LinkMessage(msgspec.Struct, frozen=True):
    conn: int
    message: ToBackend


class LinkClosed(msgspec.Struct, frozen=True):
    """The connection ended, by whichever side."""

    conn: int
    reset: bool = False


class LinkWritable(msgspec.Struct, frozen=True):
    """The connection's send buffer has become full (False) or has room again (True)."""

    conn: int
    writable: bool


class Persisted(msgspec.Struct, frozen=True):
    """Every batch up to this number is durable."""

    batch: int


class ProbeResult(msgspec.Struct, frozen=True):
    """Outcome of Probe. refused: the kernel at that address refused the connection (not: timed out, unreachable)."""

    name: str
    instance: str
    refused: bool


class Request(msgspec.Struct, frozen=True):
    """A command of the API; answered by Reply with the same number."""

    request: int
    command: Command


Input = LinkOpened | LinkMessage | LinkClosed | LinkWritable | Persisted | ProbeResult | Request
