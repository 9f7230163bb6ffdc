"""The bench's pure parts: generated mobile nodes are genuine, reports keep the contract, pictures are written."""

from __future__ import annotations

import ipaddress
import json
import time
from pathlib import Path

import pytest
from closedloop_nf.ha_b.store.open import open_store
from closedloop_nf.wire import authentication, ipv6, mobility
from closedloop_nf.wire.authentication import VerifyResult
from closedloop_nf.wire.mobility_options import ReplayProtection, find_option
from closedloop_tools import report
from closedloop_tools.bench import __main__ as bench
from closedloop_tools.bench import aims, disk, nodes, outages, pictures, testbed
from closedloop_tools.lab import Lab
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[3]
VALIDATOR = Draft202012Validator(json.loads((ROOT / "docs/schemas/result.schema.json").read_text()))
MASTER = bytes(range(16))
HOME_AGENT = ipaddress.ip_address(testbed.HOME_AGENT).packed


def test_every_node_has_its_own_addresses_inside_the_prefixes() -> None:
    homes = {ipaddress.ip_address(nodes.home_address(node)) for node in range(1000)}
    assert len(homes) == 1000
    assert all(address in ipaddress.ip_network(testbed.HOME_PREFIX) for address in homes)
    assert ipaddress.ip_address(nodes.care_of_address(7)) in ipaddress.ip_network(testbed.ROAMING_PREFIX)


def test_a_binding_update_is_authentic_fresh_and_well_formed() -> None:
    packet = ipv6.parse_packet(nodes.binding_update(MASTER, 41, 65535))
    assert (packet.header.source, packet.header.destination) == (nodes.care_of_address(41), HOME_AGENT)
    assert packet.home_address_option == nodes.home_address(41)
    assert mobility.checksum_ok(packet.payload, nodes.home_address(41), HOME_AGENT)
    update = mobility.parse_mobility(packet.payload)
    assert isinstance(update, mobility.BindingUpdate)
    assert (update.sequence, update.lifetime * 4) == (65535, nodes.LIFETIME_S)
    stamp = find_option(update.options, ReplayProtection)
    assert stamp is not None
    assert authentication.unix_seconds(stamp.timestamp) == pytest.approx(time.time(), abs=5)
    keys = {nodes.SPI: nodes.key(MASTER, 41)}
    addresses = {"care_of_address": nodes.care_of_address(41), "home_address": nodes.home_address(41)}
    assert authentication.verify(packet.payload, key_for_spi=keys.get, **addresses) is VerifyResult.OK
    assert nodes.key(MASTER, 42) != nodes.key(MASTER, 41)


@pytest.mark.parametrize("status", [0, 135])
def test_an_acknowledgement_is_recognised(status: int) -> None:
    answer = mobility.BindingAcknowledgement(status, key_management=False, sequence=513, lifetime=900)
    sealed = mobility.seal(mobility.build_mobility(answer), HOME_AGENT, nodes.home_address(9))
    packet = ipv6.build_packet(
        HOME_AGENT, nodes.care_of_address(9), mobility.MOBILITY_HEADER, sealed, routing_home_address=nodes.home_address(9)
    )
    assert nodes.answer_of(packet) == nodes.Answer(9, status, 513)


def test_other_packets_are_no_acknowledgement() -> None:
    assert nodes.answer_of(nodes.binding_update(MASTER, 1, 1)) is None
    assert nodes.answer_of(b"") is None


def test_what_the_store_is_given_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    other = {nodes.home_address(99): (2000, bytes(16))}
    nodes.store_associations(file, MASTER, 3, other)
    nodes.store_bindings(file, 3, "ha-pp-bench")
    store = open_store(file, None)
    try:
        state = store.load()
    finally:
        store.close()
    assert {(row.home_address, row.spi) for row in state.associations} == {
        *((nodes.home_address(node), nodes.SPI) for node in range(3)),
        (nodes.home_address(99), 2000),
    }
    assert {row.home_address: row.owner for row in state.bindings} == {nodes.home_address(node): "ha-pp-bench" for node in range(3)}
    assert all(row.revision == state.revision for row in state.bindings)


def test_acknowledged_registrations_are_held_against_the_store(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    nodes.store_bindings(file, 3, "ha-pp-bench")  # sequence number 1
    assert nodes.lost_registrations(file, [1, 1, 0]) == 0
    assert nodes.lost_registrations(file, [1, 2, 2, 1]) == 3


RUNS: list[dict[str, report.Value]] = [
    {"part": "registrations", "registrations_per_s": 2100.0},
    {"part": "registrations", "bu_ba_ms": 1.3},
    {
        "part": "forwarding",
        **{f"{prefix}_{way}_mbit_per_s": 9000.0 for prefix in ("plain", "tunnel", "bindings_10k") for way in ("to_mn", "from_mn")},
        "tunnel_throughput_ratio": 1.0,
    },
    {"part": "failover_cold", "failed": False, "failover_cold_outage_ms": 900.0},
    {"part": "failover_cold", "failed": True, "error": "ansible-playbook ended with status 2", "failover_cold_outage_ms": None},
]


def test_the_report_compares_and_keeps_the_contract() -> None:
    figures = report.figures_of(RUNS)
    reference = bench.references(RUNS, [0.4, 0.6], 500.0)
    built = report.build_report("bench", RUNS, reference=reference, aims=aims.aims_for(figures))
    VALIDATOR.validate(json.loads(json.dumps(built)))
    assert built["reference"]["one flush of the same disk"]["bu_ba_ms"]["median"] == 0.5
    assert built["reference"]["plain routing through the same namespaces"]["tunnel_to_mn_mbit_per_s"]["median"] == 9000
    assert set(built["aims"]) == {"registrations_per_s", "bu_ba_ms", "tunnel_throughput_ratio", "failover_cold_outage_ms"}
    assert built["summary"]["failover_cold_outage_ms"]["n"] == 1
    assert sum(bool(run.get("failed")) for run in built["runs"]) == 1


def test_there_is_a_picture_for_every_part_that_was_measured(tmp_path: Path) -> None:
    written = pictures.draw(RUNS, aims.aims_for(report.figures_of(RUNS)), tmp_path)
    assert {file.name for file in written} == {"registrations.png", "forwarding.png", "outages.png"}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in written)
    assert pictures.draw([{"part": "other", "other_ms": 1.0}], {}, tmp_path) == []


def test_the_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    assert all(value > 0 for value in disk.flushes_ms(tmp_path))
    assert disk.single_commits_per_s(tmp_path, 0.1) > 1
    assert list(tmp_path.iterdir()) == []


class Broken(Lab):
    """A lab where no traffic can be started."""

    renewed = 0

    def home_address(self, mobile_node: str) -> str:
        raise RuntimeError(f"{mobile_node} is not there")

    def renew(self, on_task: object = None) -> None:
        self.renewed += 1


def test_a_run_that_fails_is_reported_and_the_lab_is_made_anew() -> None:
    lab = Broken("none")
    runs = outages._repeat("failover_cold", lab, lambda traffic, number: pytest.fail("no traffic, no scene"))
    assert len(runs) == lab.renewed == outages.RUNS
    assert all(run["failed"] and run["error"] == "mn1 is not there" and run["failover_cold_outage_ms"] is None for run in runs)


def test_a_part_begins_no_run_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "BUDGET_S", 0.0)
    assert outages._repeat("handover", Broken("none"), lambda traffic, number: pytest.fail("too late")) == []
