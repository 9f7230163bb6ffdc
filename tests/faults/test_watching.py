"""What the kill tests watch with sees what it is there for: two home agents that serve one address, and a registration that is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import links, namespaces, netns
from closedloop_nf.runtime.addresses import from_text

from tests.faults.acknowledged import Acknowledged, EventStream, lost
from tests.faults.kernel_view import link_layer_addresses, look
from tests.faults.watcher import HANDOVER_S, PROBE_HOST, Doubled
from tests.faults.watching import start_watcher

HOME_ADDRESS = "2001:db8:100::1001"
HOME_AGENTS = ("ha-pp-a", "ha-pp-b")
SERVE = f"""
    add table ip6 closedloop_lease
    add set ip6 closedloop_lease lease {{ type ether_type; flags timeout; }}
    add set ip6 closedloop_lease bound {{ typeof ip6 saddr . @nh,384,128; }}
    add element ip6 closedloop_lease lease {{ ip6 timeout 2s }}
    add element ip6 closedloop_lease bound {{ 2001:db8:1::1 . 0x{from_text(HOME_ADDRESS).hex()} }}
"""


@pytest.fixture
def lab() -> Iterator[str]:
    """Two empty hosts and the probe on one link."""
    name = f"clf{os.getpid()}w"
    hosts = [f"{name}-{host}" for host in (*HOME_AGENTS, PROBE_HOST)]
    everything = [{"name": f"{name}-fabric", "sysctls": {}}, *({"name": host, "sysctls": {}} for host in hosts)]
    try:
        netns.run({"namespaces": everything, "state": "present", "grace_ms": 100}, check_mode=False)
        interfaces = [
            {"namespace": host, "name": "eth0", "link": "home", "roaming": False, "sysctls": {"accept_dad": 0, "proxy_ndp": 1}}
            for host in hosts
        ]
        links.run({"fabric": f"{name}-fabric", "interfaces": interfaces, "state": "present"}, check_mode=False)
        yield name
    finally:
        netns.run({"namespaces": everything, "state": "absent", "grace_ms": 100}, check_mode=False)


def run_in(namespace: str, *argv: str, stdin: str | None = None) -> None:
    with namespaces.entered(namespace):
        subprocess.run(argv, input=stdin, text=True, check=True, capture_output=True)


@contextmanager
def watched(lab: str, folder: Path) -> Iterator[dict[str, object]]:
    """Run the body under the watcher; what it saw is in the mapping afterwards."""
    seen: dict[str, object] = {}
    watcher = start_watcher(lab, [HOME_ADDRESS], folder)
    try:
        yield seen
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(10) == 0
    finally:
        watcher.kill()
        watcher.wait()
    seen.update(json.loads((folder / "watcher.json").read_text(encoding="utf-8")))


def test_a_lease_counts_until_it_has_run_out(lab: str) -> None:
    host = f"{lab}-ha-pp-a"
    wanted = frozenset({from_text(HOME_ADDRESS)})
    assert look(host).serves(wanted) == frozenset()
    run_in(host, "nft", "-f", "-", stdin=SERVE)
    assert look(host).serves(wanted) == wanted
    deadline = time.monotonic() + 5
    while look(host).serves(wanted):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_namespaces_with_lease_and_binding_are_found(lab: str, tmp_path: Path) -> None:
    with watched(lab, tmp_path) as seen:
        for host in HOME_AGENTS:
            run_in(f"{lab}-{host}", "nft", "-f", "-", stdin=SERVE)
        time.sleep(1.0)
    assert isinstance(seen["violations"], list)
    assert {entry["what"] for entry in seen["violations"]} == {"two namespaces serve it"}


def test_two_answers_to_one_neighbour_solicitation_are_found(lab: str, tmp_path: Path) -> None:
    for host in HOME_AGENTS:
        run_in(f"{lab}-{host}", "ip", "-6", "addr", "add", f"{HOME_ADDRESS}/128", "dev", "eth0", "nodad")
    with watched(lab, tmp_path) as seen:
        time.sleep(1.0)
    assert isinstance(seen["violations"], list)
    assert {entry["what"] for entry in seen["violations"]} == {"two interfaces answered one neighbour solicitation"}


def test_one_home_agent_after_the_other_is_no_violation(lab: str, tmp_path: Path) -> None:
    with watched(lab, tmp_path) as seen:
        for host in HOME_AGENTS:
            run_in(f"{lab}-{host}", "ip", "-6", "addr", "add", f"{HOME_ADDRESS}/128", "dev", "eth0", "nodad")
            run_in(f"{lab}-{host}", "nft", "-f", "-", stdin=SERVE)
            time.sleep(0.5)
            run_in(f"{lab}-{host}", "nft", "delete table ip6 closedloop_lease")
            run_in(f"{lab}-{host}", "ip", "-6", "addr", "del", f"{HOME_ADDRESS}/128", "dev", "eth0")
    assert seen["violations"] == []
    assert isinstance(seen["answers"], int)
    assert seen["answers"] > 4


def event(name: str, **fields: object) -> str:
    return json.dumps({"mono_ns": 0, "wall": 0.0, "name": name, **fields}) + "\n"


def test_the_event_stream_tells_the_last_acknowledged_registration(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(
        event("bu_sent", lifetime_s=600, sequence=7)
        + event("ba_received", status=135, sequence=400, lifetime_s=0)
        + event("ba_received", status=0, sequence=401, lifetime_s=600)
        + event("bound", care_of_address="2001:db8:1::1"),
        encoding="utf-8",
    )
    stream = EventStream(file)
    stream.follow()
    assert stream.last == Acknowledged(401, "2001:db8:1::1")
    with file.open("a", encoding="utf-8") as more:
        more.write(event("bu_sent", lifetime_s=0, sequence=402))
    stream.follow()
    assert stream.last is None
    assert stream.count == 1


KEPT = {(401, "a"): True, (402, "b"): True, (401 + 32767, "b"): True, (400, "a"): False, (401, "b"): False, (401 + 32768, "b"): False}


@pytest.mark.parametrize(("sequence", "care_of_address"), KEPT)
def test_a_registration_is_lost_when_an_older_one_is_known(sequence: int, care_of_address: str) -> None:
    row = {"sequence": sequence, "care_of_address": care_of_address}
    assert (lost(Acknowledged(401, "a"), row) is None) is KEPT[sequence, care_of_address]
    assert lost(Acknowledged(401, "a"), None) is not None


@pytest.fixture
def served(lab: str) -> str:
    """A lab in which ha-pp-b serves the home address, for two seconds."""
    run_in(f"{lab}-ha-pp-b", "nft", "-f", "-", stdin=SERVE)
    return lab


@pytest.mark.parametrize(
    ("first", "second", "apart_s", "before", "excused"),
    [
        ("ha-pp-a", "ha-pp-b", 2 * HANDOVER_S, "ha-pp-a", True),
        ("ha-pp-a", "ha-pp-b", HANDOVER_S / 2, "ha-pp-a", False),  # no takeover is so quick
        ("ha-pp-a", "ha-pp-b", 2 * HANDOVER_S, "ha-pp-b", False),  # who answers late had it already
        ("ha-pp-b", "ha-pp-a", 2 * HANDOVER_S, "ha-pp-b", False),  # who answered first still has it
    ],
)
def test_a_late_second_answer_is_excused_where_the_address_has_moved_in_between_and_nowhere_else(
    served: str, first: str, second: str, apart_s: float, before: str, excused: bool
) -> None:
    names = [f"{served}-{host}" for host in HOME_AGENTS]

    def interface(host: str) -> bytes:
        (address,) = link_layer_addresses(f"{served}-{host}") - {bytes(6)}
        return address

    twice = Doubled(from_text(HOME_ADDRESS), interface(first), interface(second), apart_s, frozenset({f"{served}-{before}"}))
    assert twice.excused(names) is excused
