"""Mobile nodes of the bench that exist as numbers: addresses, keys, Binding Updates, and what HA-B has to know of them."""

from __future__ import annotations

import hashlib
import ipaddress
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.records import Change, PutAssociation, PutBinding
from closedloop_nf.ha_b.store.open import open_store
from closedloop_nf.link.messages import Binding, SecurityAssociation
from closedloop_nf.wire import authentication, ipv6, mobility
from closedloop_nf.wire.mobility_options import ReplayProtection

from closedloop_tools.bench import testbed

SPI = 1000
LIFETIME_S = 3600
FIRST = 0x10000
"""Interface identifier of node 0; the next ones follow."""

_HOME = ipaddress.ip_network(testbed.HOME_PREFIX).network_address.packed[:8]
_ROAMING = ipaddress.ip_network(testbed.ROAMING_PREFIX).network_address.packed[:8]
_HOME_AGENT = ipaddress.ip_address(testbed.HOME_AGENT).packed

# Of an IPv6 packet with a type 2 routing header and a Binding Acknowledgement behind it.
_ROUTING, _MOBILITY = 40, 64
_SHORTEST = _MOBILITY + 12
_BINDING_ACKNOWLEDGEMENT = 6


class Answer(NamedTuple):
    """A Binding Acknowledgement: which node, its status and sequence number."""

    node: int
    status: int
    sequence: int


def home_address(node: int) -> bytes:
    return _HOME + struct.pack("!Q", FIRST + node)


def care_of_address(node: int) -> bytes:
    return _ROAMING + struct.pack("!Q", FIRST + node)


def key(master: bytes, node: int) -> bytes:
    """Every node has a key of its own, as HA-B's memory shall hold that many."""
    return hashlib.sha256(master + struct.pack("!Q", node)).digest()[: authentication.KEY_LENGTH]


def binding_update(master: bytes, node: int, sequence: int) -> bytes:
    """The whole IPv6 packet of a home registration, authenticated, its timestamp now."""
    home, care_of = home_address(node), care_of_address(node)
    update = mobility.BindingUpdate(
        sequence,
        acknowledge=True,
        home_registration=True,
        link_local=False,
        key_management=False,
        lifetime=LIFETIME_S // 4,
        options=(ReplayProtection(authentication.ntp_timestamp(time.time())),),
    )
    message = authentication.authenticate(update, care_of_address=care_of, home_address=home, spi=SPI, key=key(master, node))
    sealed = mobility.seal(message, home, _HOME_AGENT)
    return ipv6.build_packet(care_of, _HOME_AGENT, mobility.MOBILITY_HEADER, sealed, home_address_option=home)


def answer_of(packet: bytes) -> Answer | None:
    """The acknowledgement in an IPv6 packet; None where it holds something else."""
    if (
        len(packet) < _SHORTEST
        or packet[6] != ipv6.ROUTING
        or packet[_ROUTING + 2] != 2
        or packet[_MOBILITY + 2] != _BINDING_ACKNOWLEDGEMENT
    ):
        return None
    node = int.from_bytes(packet[_ROUTING + 16 : _ROUTING + 24], "big") - FIRST
    return Answer(node, packet[_MOBILITY + 6], int.from_bytes(packet[_MOBILITY + 8 : _MOBILITY + 10], "big"))


def store_associations(database: Path, master: bytes, count: int, others: dict[bytes, tuple[int, bytes]] | None = None) -> None:
    """Write the security associations of nodes 0 ... count-1, and of `others` (home address -> SPI, key), into HA-B's SQLite file."""
    rows = [SecurityAssociation(home_address(node), SPI, key(master, node)) for node in range(count)]
    rows += [SecurityAssociation(home, spi, secret) for home, (spi, secret) in (others or {}).items()]
    _store(database, lambda _revision: [PutAssociation(row) for row in rows])


def store_bindings(database: Path, count: int, owner: str) -> None:
    """As if nodes 0 ... count-1 had registered through `owner`: their bindings, into HA-B's SQLite file."""
    now = time.time()
    flags = mobility.FLAG_ACKNOWLEDGE | mobility.FLAG_HOME_REGISTRATION
    stamp = authentication.ntp_timestamp(now)

    def bindings(revision: int) -> list[Change]:
        rows = (
            Binding(home_address(node), care_of_address(node), 1, LIFETIME_S, now + LIFETIME_S, flags, owner, 1, stamp, revision)
            for node in range(count)
        )
        return [PutBinding(row) for row in rows]

    _store(database, bindings)


def lost_registrations(database: Path, acknowledged: Sequence[int]) -> int:
    """How many nodes have an older sequence number in HA-B's SQLite file than the last one acknowledged to them (0: none was)."""
    store = open_store(database, None)
    try:
        stored = {row.home_address: row.sequence for row in store.load().bindings}
    finally:
        store.close()
    behind = ((last - stored.get(home_address(node), 0)) & 0xFFFF for node, last in enumerate(acknowledged))
    return sum(0 < distance < 1 << 15 for distance in behind)


def _store(database: Path, changes: Callable[[int], list[Change]]) -> None:
    """Commit what `changes` makes for the next revision."""
    store = open_store(database, None)
    try:
        state = store.load()
        store.commit([Persist(1, changes(state.revision + 1), state.revision + 1, state.epoch)])
    finally:
        store.close()
