"""What a registration costs `ha-pp`, and that ten thousand bindings fit."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from closedloop_nf.link import messages as link
from closedloop_nf.wire import authentication, ipv6, mobility
from closedloop_nf.wire.mobility_options import ReplayProtection

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.lab import CARE_OF, CARE_OF_2, HOME_PREFIX, KEY, SPI, Daemon, Lab, lab_in, octets, until
from tests.daemons.ha_pp.node import Node

REGISTRATIONS = 3000
BURST = 100


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with lab_in(tmp_path) as network:
        yield network


@pytest.fixture
async def backend(lab: Lab) -> AsyncIterator[Backend]:
    server = await Backend(lab).listen()
    yield server
    await server.close()


def home(number: int) -> bytes:
    return octets(HOME_PREFIX)[:8] + b"\x02" + number.to_bytes(7, "big")


def update(node: Node, number: int, care_of: bytes, sequence: int) -> bytes:
    """A genuine Binding Update of the mobile node of that number, as a packet."""
    message = mobility.BindingUpdate(
        sequence, True, True, False, False, 100, (ReplayProtection(authentication.ntp_timestamp(time.time())),)
    )
    data = authentication.authenticate(message, care_of_address=care_of, home_address=home(number), spi=SPI, key=KEY)
    sealed = mobility.seal(data, home(number), node.agent)
    return ipv6.build_packet(care_of, node.agent, mobility.MOBILITY_HEADER, sealed, home_address_option=home(number))


async def test_cpu_per_registration_lets_two_thousand_a_second_fit_a_core(lab: Lab, backend: Backend) -> None:
    backend.keys = [link.SecurityAssociation(home(n), SPI, KEY) for n in range(REGISTRATIONS)]
    daemon = Daemon(lab).start()
    await backend.hears(link.Synced)
    await until("the lease is held", lambda: daemon.log.exists() and daemon.logged("lease_held"))
    node = Node(lab)
    node.deafen()
    try:
        cost = {}
        for turn, (kind, care_of) in enumerate((("new", CARE_OF), ("handover", CARE_OF_2), ("refresh", CARE_OF_2))):
            packets = [update(node, n, octets(care_of), 100 + turn) for n in range(REGISTRATIONS)]
            asked = len(backend.said(link.Register))
            before = daemon.cpu_seconds()
            for begin in range(0, REGISTRATIONS, BURST):
                for packet in packets[begin : begin + BURST]:
                    node.send(packet)
                wanted = asked + min(begin + BURST, REGISTRATIONS)
                await until("burst registered", lambda wanted=wanted: backend.registers >= wanted)  # type: ignore[misc] # bound at once
            cost[kind] = (daemon.cpu_seconds() - before) / REGISTRATIONS * 1e6
        print(f"CPU per registration, microseconds: { {kind: round(value) for kind, value in cost.items()} }")
        assert (await daemon.metrics())['ha_pp_binding_acknowledgements_total{status="0"}'] == 3 * REGISTRATIONS
    finally:
        node.close()


async def test_heartbeats_go_on_while_ten_thousand_bindings_get_into_the_kernel(lab: Lab, backend: Backend) -> None:
    count = 10_000
    backend.bindings = {
        home(n): link.Binding(home(n), octets(CARE_OF), 1, 400, time.time() + 400, 0xC000, "ha-pp-a", 1) for n in range(count)
    }
    backend.keys = [link.SecurityAssociation(home(n), SPI, KEY) for n in range(count)]
    daemon = Daemon(lab).start()
    await backend.hears(link.Hello)
    await backend.hears(link.Synced)
    taken = backend.at(link.Synced) - backend.at(link.Hello)
    beats = [at for at, message in zip(backend.heard_at, backend.heard, strict=True) if isinstance(message, link.Beat)]
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(beats))
    resident_mb = daemon.resident_mb()
    beat = f"beats {statistics.median(gaps) * 1000:.0f} ms apart, at most {gaps[-1] * 1000:.0f} ms"
    print(f"10000 bindings: synced in {taken:.2f} s, {beat}, resident {resident_mb:.0f} MB")
    assert any(at < backend.at(link.Synced) for at in beats)
    assert resident_mb < 200
    assert (await daemon.metrics())["ha_pp_bindings"] == count
    started = time.monotonic()
    assert await daemon.stop() == 0
    print(f"clean stop in {time.monotonic() - started:.2f} s")


async def test_two_hundred_updates_a_second_are_all_acknowledged(lab: Lab, backend: Backend) -> None:
    """By a scripted HA-B that answers at once."""
    daemon = Daemon(lab).start()
    await until("the lease is held", lambda: daemon.log.exists() and daemon.logged("lease_held"))
    node = Node(lab)
    try:
        taken = []
        for turn in range(200):
            begun = time.monotonic()
            node.send(node.update(care_of=octets((CARE_OF, CARE_OF_2)[turn % 2])))
            await node.arrival(turn + 1)
            taken.append((time.monotonic() - begun) * 1000)
            await asyncio.sleep(max(0.0, begun + 0.005 - time.monotonic()))
        print(f"Binding Update to Acknowledgement, ms: median {statistics.median(taken):.2f}, worst {max(taken):.2f}")
        assert all(message.status == 0 for message in node.messages() if isinstance(message, mobility.BindingAcknowledgement))
    finally:
        node.close()
