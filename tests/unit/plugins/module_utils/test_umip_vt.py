"""What UMIP's virtual terminal tells of the binding cache: text in the format of mip6d's `bc`, and a terminal on a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import umip_vt
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

PLAIN = """mip6d> hoa 2001:db8:100:0:0:0:0:1001 status registered
 coa 2001:db8:1:0:21a:2bff:fe3c:4d5e flags AH--
 local 2001:db8:100:0:0:0:0:1
 lifetime 52 / 60 seq 7 unreach 0 mpa 41 / 60 retry 0
hoa 2001:db8:100:0:0:0:0:1002 status cached
 coa 2001:db8:2:0:0:0:0:9 flags A---
 local 2001:db8:100:0:0:0:0:1
 lifetime -3 / 420 seq 65535 unreach 1
mip6d> """
VERBOSE = """\x1b[1;4mhoa 2001:db8:100:0:0:0:0:1001\x1b[0m nonce 0\x1b[1m status dad\x1b[0m
 coa 2001:db8:1:0:0:0:0:9 nonce 0 flags AHLK
 local 2001:db8:100:0:0:0:0:1 tunnel ip6tnl1 link eth0
 lifetime - / 60 seq 1 unreach 0
 MNP: 2001:db8:200:0:0:0:0:0/56
"""


def test_each_entry_has_its_addresses_times_and_flags() -> None:
    first, second = umip_vt.bindings(PLAIN)
    assert first == {
        "home_address": "2001:db8:100::1001",
        "care_of_address": "2001:db8:1:0:21a:2bff:fe3c:4d5e",
        "home_agent_address": "2001:db8:100::1",
        "status": "registered",
        "flags": "AH",
        "lifetime_s": 60,
        "remaining_s": 52,
        "sequence": 7,
        "mobile_network_prefixes": [],
    }
    assert (second["status"], second["flags"], second["remaining_s"], second["sequence"]) == ("cached", "A", -3, 65535)


def test_colours_nonces_interfaces_and_mobile_networks_are_understood() -> None:
    (entry,) = umip_vt.bindings(VERBOSE)
    assert (entry["status"], entry["flags"], entry["remaining_s"]) == ("dad", "AHLK", None)
    assert entry["mobile_network_prefixes"] == ["2001:db8:200::/56"]


def test_an_empty_cache_has_no_entry() -> None:
    assert umip_vt.bindings("mip6d> mip6d> ") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SSH-2.0-OpenSSH_9.2\n", "no line of its binding cache"),
        ("mip6d> unknown args\n", "no line of its binding cache"),
        ("hoa 2001:db8:: status registered\n coa 1::2::3 flags AH--\n", "no line of its binding cache"),
        ("hoa 2001:db8:100:0:0:0:0:1 status registered\n coa 2001:db8:1:0:0:0:0:9 flags AH--\n", "ends within it"),
        (PLAIN + " shell {{ lookup('pipe', 'id') }}\n", "no line of its binding cache"),
    ],
)
def test_what_mip6d_does_not_write_is_refused(text: str, message: str) -> None:
    with pytest.raises(MobilityError, match=message):
        umip_vt.bindings(text)


@pytest.fixture
def terminal() -> Iterator[int]:
    """A virtual terminal that answers `bc` and closes on `quit`; its port."""
    server = socket.create_server(("::1", 0), family=socket.AF_INET6)

    def serve() -> None:
        connection, _peer = server.accept()
        with connection, connection.makefile("r") as lines:
            for line in lines:
                if line == "quit\n":
                    return
                connection.sendall(PLAIN.encode() if line == "bc\n" else b"unknown\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    thread.join(10)
    server.close()


def test_the_terminal_is_asked_and_left(terminal: int) -> None:
    outcome = umip_vt.run({"host": "::1", "port": terminal, "timeout_ms": 5000}, check_mode=False)
    assert [entry["home_address"] for entry in outcome.values["bindings"]] == ["2001:db8:100::1001", "2001:db8:100::1002"]
    assert not outcome.changed


def test_where_nobody_listens_the_remedy_is_told() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
    with pytest.raises(MobilityError, match="--enable-vt"):
        umip_vt.run({"host": "::1", "port": port, "timeout_ms": 1000}, check_mode=False)


def test_a_terminal_that_is_busy_is_not_waited_for_without_end() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server, pytest.raises(MobilityError, match="one client at a time"):
        umip_vt.run({"host": "::1", "port": server.getsockname()[1], "timeout_ms": 200}, check_mode=False)
