"""What an operator or a playbook can ask of HA-B; the JSON API turns requests into these."""

from __future__ import annotations

import msgspec


class Fence(msgspec.Struct, frozen=True):
    """Declare an HA-PP stopped.

    Without a session its bindings are free at once. With a session it is cut off and its lease runs out first, unless `stopped` asserts
    that the caller has made sure that it serves nothing (host powered off, pod deleted).
    """

    name: str
    stopped: bool = False


class Promote(msgspec.Struct, frozen=True):
    """Hand everything of `previous_owner` (the only serving HA-PP where empty) over to `name`, in order."""

    name: str
    previous_owner: str = ""


class Activate(msgspec.Struct, frozen=True):
    """Let a ready standby serve beside the others; it takes nothing over (address mode per_instance)."""

    name: str


class Drain(msgspec.Struct, frozen=True):
    """Ask all mobile nodes of an HA-PP to move to the others and give it no new ones (address mode per_instance)."""

    name: str


class Switch(msgspec.Struct, frozen=True):
    """Ask `count` mobile nodes, or those of `home_addresses`, of an HA-PP to move to HA-PP `to` (address mode per_instance)."""

    name: str
    to: str
    count: int = 0
    home_addresses: list[bytes] = []


class Forget(msgspec.Struct, frozen=True):
    """Remove a stopped HA-PP without bindings from the list."""

    name: str


class DeleteBinding(msgspec.Struct, frozen=True):
    home_address: bytes


class PutMobileNode(msgspec.Struct, frozen=True):
    """Set the security associations of a mobile node (RFC 4285): key by SPI; others it had are removed."""

    home_address: bytes
    keys: dict[int, bytes]

    def __repr__(self) -> str:
        return f"PutMobileNode({self.home_address.hex()}, spis={sorted(self.keys)})"


class DeleteMobileNode(msgspec.Struct, frozen=True):
    """Remove the security associations of a mobile node and its binding."""

    home_address: bytes


Command = Fence | Promote | Activate | Drain | Switch | Forget | DeleteBinding | PutMobileNode | DeleteMobileNode
