"""Claims about the events of a real `ha-pp` in namespaces, and of a real `ha-b` that watches it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from closedloop_nf.link import messages as link

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.broken_socket import no_new_descriptor, shut_down_mobility_socket
from tests.daemons.ha_pp.lab import BACKEND, BACKEND_PORT, HOME, HOME_PREFIX, TOKEN, Daemon, Lab, lab_in, until
from tests.daemons.ha_pp.node import Node
from tests.daemons.nf_ves.collector import PASSWORD, USER, Collector, assert_complete_and_in_order

PINGS = 20
INNER = 40 + 8 + 56
"""Octets of a ping: IPv6, ICMPv6, the usual data."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with lab_in(tmp_path) as network:
        yield network


@pytest.fixture
async def collector(lab: Lab) -> AsyncIterator[Collector]:
    """On the router; takes a password or a certificate."""

    def make(port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((BACKEND, port))
        return sock

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(lab.folder / "ha-b.pem", lab.folder / "ha-b.key")
    tls.load_verify_locations(lab.folder / "ca.pem")
    tls.verify_mode = ssl.CERT_OPTIONAL
    made = await Collector(tls, lambda port: lab.open_socket("r", lambda: make(port))).start()
    yield made
    await made.stop()


def by_certificate(collector: Collector, queue: str) -> dict[str, Any]:
    return {
        "url": f"https://[{BACKEND}]:{collector.port}",
        "tls": {"ca": "ca.pem", "server_name": "ha-b", "certificate": "ha-b.pem", "key": "ha-b.key"},
        "queue": queue,
        "measurement_ms": 200,
        "heartbeat_s": 1,
    }


async def test_an_ha_pp_measures_its_interfaces_and_each_mobile_node(lab: Lab, collector: Collector) -> None:
    backend = await Backend(lab).listen()
    node = Node(lab)
    try:
        daemon = Daemon(lab, ves=by_certificate(collector, str(lab.state / "ha-pp.sqlite"))).start()
        await until("synced", lambda: backend.said(link.Synced))
        await until("lease", lambda: daemon.logged("lease_held"))
        await collector.until("figures", lambda: [one for one in collector.arrivals if one.header["domain"] == "measurement"])
        await node.register()
        assert await lab.pings(HOME, PINGS)

        def counted(key: str) -> int:
            measured = [one.event["measurementFields"] for one in collector.of("ha-pp-a") if one.header["domain"] == "measurement"]
            nodes = [entry["hashMap"] for fields in measured for entry in fields["additionalMeasurements"]]
            assert {entry["homeAddress"] for entry in nodes} <= {HOME}
            return sum(int(entry[key]) for entry in nodes)

        await collector.until(
            "all pings are counted", lambda: counted("fromNodePacketsDelta") >= PINGS and counted("toNodePacketsDelta") >= PINGS
        )
        assert (counted("toNodePacketsDelta"), counted("toNodeOctetsDelta")) == (PINGS, PINGS * INNER)
        assert (counted("fromNodePacketsDelta"), counted("fromNodeOctetsDelta")) == (PINGS, PINGS * (40 + INNER))
        fields = next(one for one in reversed(collector.of("ha-pp-a")) if one.header["domain"] == "measurement").event["measurementFields"]
        assert fields["concurrentSessions"] == 1
        assert [nic["nicIdentifier"] for nic in fields["nicPerformanceArray"]] == ["home0", "up0"]
        assert sum(
            one.event["measurementFields"]["requestRate"] * one.event["measurementFields"]["measurementInterval"]
            for one in collector.of("ha-pp-a")
            if one.header["domain"] == "measurement"
        ) == pytest.approx(1)
        assert await daemon.stop() == 0
        states = [one.event["stateChangeFields"] for one in collector.of("ha-pp-a") if one.header["domain"] == "stateChange"]
        assert [(state["oldState"], state["newState"]) for state in states] == [
            ("outOfService", "inService"),
            ("inService", "outOfService"),
        ]
        assert_complete_and_in_order(collector.of("ha-pp-a"))
    finally:
        node.close()
        await backend.close()


async def test_an_unusable_queue_or_collector_does_not_keep_an_ha_pp_from_serving(lab: Lab, collector: Collector) -> None:
    await collector.stop()
    backend = await Backend(lab).listen()
    node = Node(lab)
    try:
        for queue in (".", str(lab.state / "ha-pp.sqlite")):
            before = len(backend.said(link.Synced))
            daemon = Daemon(lab, ves=by_certificate(collector, queue)).start()
            await until("synced", lambda before=before: len(backend.said(link.Synced)) > before)
            await node.register()
            assert await lab.pings(HOME, 5)
            wanted = "events are not reported" if queue == "." else "collector does not take events"
            await until(wanted, lambda daemon=daemon, wanted=wanted: daemon.logged(wanted))
            daemon.alive()
            assert await daemon.stop() == 0
    finally:
        node.close()
        await backend.close()


async def test_a_mobility_socket_that_fails_is_a_fault_of_both_and_cleared_when_it_is_open_again(lab: Lab, collector: Collector) -> None:
    basic = {
        "url": f"https://[{BACKEND}]:{collector.port}",
        "tls": {"ca": "ca.pem", "server_name": "ha-b"},
        "username": USER,
        "password_file": "password",
        "queue": "ha-b-events.sqlite",
    }

    def alarms(reporter: str) -> list[tuple[str, str]]:
        fields = [fault.event["faultFields"] for fault in collector.faults(reporter, "ha-pp-a")]
        return [(one["alarmCondition"], one["eventSeverity"]) for one in fields]

    raised, cleared = ("mobilitySocketClosed", "CRITICAL"), ("mobilitySocketClosed", "NORMAL")
    with ha_b(lab, basic):
        daemon = Daemon(lab, ves=by_certificate(collector, str(lab.state / "ha-pp.sqlite"))).start()
        await collector.until("it reports itself", lambda: collector.of("ha-pp-a"))
        pid = daemon.process.pid
        with no_new_descriptor(pid):
            shut_down_mobility_socket(pid)
            for reporter in ("ha-pp-a", "ha-b"):
                await collector.until("raised", lambda reporter=reporter: alarms(reporter) == [raised])
        for reporter in ("ha-pp-a", "ha-b"):
            await collector.until("cleared", lambda reporter=reporter: alarms(reporter) == [raised, cleared])
        shut_down_mobility_socket(pid)  # opened again at once, and told all the same
        for reporter in ("ha-pp-a", "ha-b"):
            await collector.until("both again", lambda reporter=reporter: alarms(reporter) == [raised, cleared, raised, cleared])
            faults = collector.faults(reporter, "ha-pp-a")
            assert [fault.header["eventId"] for fault in faults[::2]] == [fault.header["eventId"] for fault in faults[1::2]]
        daemon.alive()
        assert await daemon.stop() == 0
    assert_complete_and_in_order(collector.of("ha-pp-a"))
    assert_complete_and_in_order(collector.of("ha-b"))


@contextlib.contextmanager
def ha_b(lab: Lab, ves: dict[str, Any]) -> Iterator[Path]:
    """A real HA-B on the router; gives its log."""
    for name, text in (("password", PASSWORD), ("token", TOKEN), ("api-token", "api")):
        (lab.folder / name).touch(mode=0o600)
        (lab.folder / name).write_text(text)
    config = {
        "name": "ha-b",
        "link": {
            "address": BACKEND,
            "port": BACKEND_PORT,
            "tls": {"certificate": "ha-b.pem", "key": "ha-b.key"},
            "token_file": "token",
        },
        "database": {"path": "ha-b.sqlite"},
        "http": {"token_file": "api-token"},
        "home_prefixes": [f"{HOME_PREFIX}/64"],
        "ves": ves,
    }
    (lab.folder / "ha-b.yml").write_text(yaml.safe_dump(config))
    path = lab.folder / "ha-b.log"
    with path.open("wb") as log:
        process = lab.start("r", sys.executable, "-m", "closedloop_nf.ha_b.main", "--config", str(lab.folder / "ha-b.yml"), stderr=log)
    try:
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def lost_at(log: Path) -> list[float]:
    """When HA-B found an HA-PP lost, UNIX seconds."""
    lines = [line for line in log.read_text().splitlines() if '"kind":"lost"' in line]
    return [datetime.fromisoformat(line.split('"time":"', 1)[1].split('"', 1)[0]).timestamp() for line in lines]


async def test_kill_9_of_an_ha_pp_is_a_fault_and_cleared_by_its_return(lab: Lab, collector: Collector) -> None:
    basic = {
        "url": f"https://[{BACKEND}]:{collector.port}",
        "tls": {"ca": "ca.pem", "server_name": "ha-b"},
        "username": USER,
        "password_file": "password",
        "queue": "ha-b-events.sqlite",
    }
    with ha_b(lab, basic) as log:
        delays = []
        for number in range(1, 6):
            daemon = Daemon(lab, ves=by_certificate(collector, str(lab.state / "ha-pp.sqlite"))).start()
            await collector.until("raised and cleared", lambda number=number: len(collector.faults("ha-b", "ha-pp-a")) == 2 * number - 2)

            def in_service(number: int = number) -> bool:
                said = [
                    one for one in collector.of("ha-b") if one.header["domain"] == "stateChange" and one.header["sourceName"] == "ha-pp-a"
                ]
                return sum(one.event["stateChangeFields"]["newState"] == "inService" for one in said) == number

            await collector.until("in service", in_service)
            said = len(collector.of("ha-pp-a"))
            await collector.until("it reports itself", lambda said=said: len(collector.of("ha-pp-a")) > said)
            await asyncio.to_thread(daemon.kill)
            await collector.until("fault", lambda number=number: len(collector.faults("ha-b", "ha-pp-a")) == 2 * number - 1)
            delays.append(collector.faults("ha-b", "ha-pp-a")[-1].wall - lost_at(log)[-1])
        print(f"detection to collector: {[round(delay * 1000, 1) for delay in delays]} ms")
        faults = collector.faults("ha-b", "ha-pp-a")
        assert [fault.event["faultFields"]["eventSeverity"] for fault in faults] == [*(["CRITICAL", "NORMAL"] * 4), "CRITICAL"]
        for raised, cleared in zip(faults[0:8:2], faults[1:8:2], strict=True):
            assert raised.header["eventId"] == cleared.header["eventId"]
            assert raised.event["faultFields"]["alarmAdditionalInformation"]["region"] == "a"
    assert_complete_and_in_order(collector.of("ha-b"))
    assert_complete_and_in_order(collector.of("ha-pp-a"), starts=5)
