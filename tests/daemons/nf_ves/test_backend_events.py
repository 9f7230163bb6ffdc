"""Claims about the events of a real `ha-b` at a collector that fails in every way a collector fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from closedloop_nf.runtime.tls import server_context
from closedloop_nf.ves.author import Written
from closedloop_nf.ves.spool import Spool

from tests.daemons.ha_b.certificates import Authority
from tests.daemons.ha_b.daemon import Daemon, PacketProcessor, secret
from tests.daemons.nf_ves.collector import PASSWORD, USER, Arrival, Collector, assert_complete_and_in_order, hang_up, number

INTERVAL_MS = 100


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def local(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("::1", port))
    return sock


@pytest.fixture
async def collector(authority: Authority) -> AsyncIterator[Collector]:
    made = await Collector(server_context(authority.server("collector")), local).start()
    yield made
    await made.stop()


@pytest.fixture
def daemon(tmp_path: Path, authority: Authority, collector: Collector) -> Iterator[Daemon]:
    ves = {
        "url": f"https://[::1]:{collector.port}",
        "tls": {"ca": str(authority.ca), "server_name": "collector"},
        "username": USER,
        "password_file": str(secret(tmp_path / "password", PASSWORD)),
        "queue": str(tmp_path / "events.sqlite"),
        "measurement_ms": INTERVAL_MS,
        "heartbeat_s": 1,
    }
    made = Daemon(tmp_path, authority, ves=ves)
    yield made
    made.end()


def detected(daemon: Daemon, kind: str) -> list[float]:
    """When HA-B found that out, UNIX seconds, as its log says."""
    found = []
    for line in daemon.log.read_bytes().splitlines():
        if line.startswith(b"{") and f'"kind":"{kind}"'.encode() in line:
            text = line.split(b'"time":"', 1)[1].split(b'"', 1)[0].decode()
            found.append(datetime.fromisoformat(text).timestamp())
    return found


async def test_a_lost_ha_pp_is_a_fault_and_cleared_when_it_returns(daemon: Daemon, collector: Collector) -> None:
    await asyncio.to_thread(daemon.start)
    delays = []
    for turn in range(1, 8):
        agent = PacketProcessor(daemon, "a", instance=str(turn))
        await agent.join()
        await collector.until("in service", lambda turn=turn: len(detected(daemon, "ready")) >= turn)
        await agent.end(abort=True)
        await collector.until("fault", lambda turn=turn: len(collector.faults("ha-b", "a")) == 2 * turn - 1)
        delays.append(collector.faults("ha-b", "a")[-1].wall - detected(daemon, "lost")[-1])
    faults = collector.faults("ha-b", "a")
    for raised, cleared in zip(faults[0::2], faults[1::2], strict=False):
        assert raised.event["faultFields"]["alarmCondition"] == cleared.event["faultFields"]["alarmCondition"] == "homeAgentLost"
        assert [one.event["faultFields"]["eventSeverity"] for one in (raised, cleared)] == ["CRITICAL", "NORMAL"]
        assert [one.header["sequence"] for one in (raised, cleared)] == [0, 1]
        assert raised.header["eventId"] == cleared.header["eventId"]
        assert raised.header["startEpochMicrosec"] == cleared.header["startEpochMicrosec"]
    print(f"detection to collector: {[round(delay * 1000, 1) for delay in delays]} ms")
    assert_complete_and_in_order(collector.of("ha-b"))


async def test_no_event_is_lost_or_out_of_order_while_the_collector_fails_and_ha_b_is_killed(daemon: Daemon, collector: Collector) -> None:
    await asyncio.to_thread(daemon.start)
    agent = PacketProcessor(daemon, "a")
    await agent.join()
    await collector.until("events", lambda: len(collector.of("ha-b")) > 5)
    for attempt, fail in enumerate(
        (
            lambda _: web.Response(status=503, headers={"Retry-After": "1"}),
            hang_up,
            lambda _: web.Response(status=500),
            lambda _: web.Response(status=401),
            lambda _: web.Response(status=301, headers={"Location": "/"}),
        )
    ):
        collector.fail = fail
        before = collector.attempts
        await collector.until("it tries again and again", lambda before=before: collector.attempts >= before + 2)
        await agent.end(abort=True)
        agent = PacketProcessor(daemon, "a", instance=f"n{attempt}")
        await agent.join()
        collector.fail = lambda _: None
        count = len(collector.arrivals)
        await collector.until("events again", lambda count=count: len(collector.arrivals) > count + 3)

    await collector.stop()
    await agent.end(abort=True)
    await collector.until("the loss is found", lambda: len(detected(daemon, "lost")) >= 6)
    await collector.until("the loss is on disk", lambda: b"homeAgentLost" in written(daemon))
    daemon.kill()
    left = [one.number for one in queued(daemon) if one.domain != "fault"]
    await asyncio.to_thread(daemon.start)
    agent = PacketProcessor(daemon, "a", instance="last")
    await agent.join()
    await collector.until("figures gather", lambda: waiting(daemon) > 10)
    await collector.start()
    await collector.until("the last clearing", lambda: ended(collector.faults("ha-b", "a")))
    faults = collector.faults("ha-b", "a")
    assert faults[-2].key[0] == faults[-1].key[0]
    assert faults[-1].header["sequence"] == 1
    await collector.until("the queue is empty", lambda: waiting(daemon) == 0)
    assert_complete_and_in_order(collector.of("ha-b"), starts=2)
    assert left
    assert set(left) <= {number(one) for one in collector.of("ha-b")}
    assert max(arrival.batch for arrival in collector.arrivals) > 1
    assert {arrival.header["domain"] for arrival in collector.arrivals} == {
        *("fault", "heartbeat", "measurement", "notification", "stateChange")
    }
    assert daemon.ask("GET", "/healthz").body["ves"]["dropped"] == 0
    await agent.end()


def ended(faults: list[Arrival]) -> bool:
    """Six losses or more, and each is cleared. More: HA-B may lose one that gets no processor."""
    return len(faults) >= 12 and faults[-1].event["faultFields"]["eventSeverity"] == "NORMAL"


def waiting(daemon: Daemon) -> int:
    return int(daemon.ask("GET", "/healthz").body["ves"]["waiting"])


def queued(daemon: Daemon) -> list[Written]:
    """What a killed HA-B left."""
    spool = Spool(daemon.directory / "events.sqlite")
    try:
        return spool.load().events
    finally:
        spool.close()


def written(daemon: Daemon) -> bytes:
    """What the queue's files hold."""
    return b"".join(path.read_bytes() for path in daemon.directory.glob("events.sqlite*"))


async def test_a_clean_stop_says_so_and_a_start_goes_on_numbering(daemon: Daemon, collector: Collector) -> None:
    await asyncio.to_thread(daemon.start)
    await collector.until("in service", lambda: collector.of("ha-b"))
    assert await asyncio.to_thread(daemon.stop) == 0
    assert collector.of("ha-b")[-1].event["stateChangeFields"]["newState"] == "outOfService"
    await asyncio.to_thread(daemon.start)
    await collector.until("in service again", lambda: collector.of("ha-b")[-1].header["domain"] == "measurement")
    await asyncio.to_thread(daemon.stop)
    assert_complete_and_in_order(collector.of("ha-b"), starts=2)


async def test_secrets_stay_out_of_the_log(daemon: Daemon, collector: Collector) -> None:
    collector.fail = lambda _: web.Response(status=401)
    await asyncio.to_thread(daemon.start)
    await collector.until("an attempt", lambda: collector.attempts > 1)
    await collector.until("a warning", lambda: daemon.find("collector does not take events"))
    assert await asyncio.to_thread(daemon.stop) == 0
    text = daemon.log.read_text()
    assert PASSWORD not in text
    assert "Basic " not in text


@pytest.mark.parametrize("ca", ["own", "foreign"])
async def test_a_collector_that_cannot_prove_itself_gets_nothing(
    ca: str, daemon: Daemon, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ves: dict[str, Any] = daemon.config["ves"]
    if ca == "foreign":
        ves["tls"]["ca"] = str(Authority(tmp_path_factory.mktemp("foreign")).ca)
    else:
        ves["tls"]["server_name"] = "somebody-else"
    await asyncio.to_thread(daemon.start)
    await collector.until("a warning", lambda: daemon.find("collector does not take events"))
    assert await asyncio.to_thread(daemon.stop) == 0
    assert collector.attempts == 0


async def test_a_queue_that_cannot_be_used_stops_the_start_with_the_remedy(daemon: Daemon) -> None:
    daemon.config["ves"]["queue"] = str(daemon.directory)
    await asyncio.to_thread(daemon.start, wait=False)
    assert daemon.process is not None
    assert await asyncio.to_thread(daemon.process.wait, 20) == 2
    refused = daemon.find("configuration refused")
    assert refused is not None
    assert refused["field"] == "ves.queue"
    assert "name a file in a writable folder" in refused["problem"]
