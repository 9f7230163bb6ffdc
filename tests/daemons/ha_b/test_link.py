"""HA-B as a process: what it acknowledged survives a kill, takeovers happen by proof, strangers stay out."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest
from closedloop_nf.link import messages as m
from closedloop_tools.postgresql import Postgresql

from tests.daemons.ha_b.certificates import Authority
from tests.daemons.ha_b.daemon import PATIENCE_S, Daemon, PacketProcessor, care_of, home

ROUNDS = 12


async def storm(processor: PacketProcessor, first: int, acknowledged: dict[int, int]) -> None:
    """Register as fast as answers come, 64 outstanding, until the link ends; note what was acknowledged."""
    outstanding = asyncio.Semaphore(64)
    seen = len(processor.messages)

    async def collect() -> None:
        nonlocal seen
        while not processor.closed.is_set():
            await asyncio.sleep(0.002)
            for message in processor.messages[seen:]:
                seen += 1
                if isinstance(message, m.Registered):
                    outstanding.release()
                    if message.status == 0:
                        acknowledged[message.transaction % 100] = message.transaction

    collector = asyncio.create_task(collect())
    transaction = first
    while not processor.closed.is_set():
        try:
            async with asyncio.timeout(0.5):
                await outstanding.acquire()
        except TimeoutError:
            continue
        transaction += 1
        processor.register(transaction % 100, transaction % 65536, transaction=transaction)
    await collector


async def no_acknowledged_registration_is_lost(daemon: Daemon) -> None:
    """kill -9 in the middle of commits, again and again."""
    random_numbers = random.Random(3)
    acknowledged: dict[int, int] = {}
    total = 0
    for round_ in range(ROUNDS):
        await asyncio.to_thread(daemon.start)
        processor = PacketProcessor(daemon, "a")
        await processor.join()
        for number, transaction in acknowledged.items():
            row = processor.rows[home(number)]
            assert row.sequence >= transaction % 65536, f"address {number}: {transaction} was acknowledged, {row.sequence} is there"
        before = dict(acknowledged)
        storming = asyncio.create_task(storm(processor, round_ * 4000, acknowledged))
        await processor.wait(m.Registered, 20)
        await asyncio.sleep(random_numbers.uniform(0.0, 0.15))
        daemon.kill()
        await storming
        await processor.end()
        total += sum(acknowledged[number] != before.get(number) for number in acknowledged)
    assert total > ROUNDS * 20
    await asyncio.to_thread(daemon.start)
    processor = PacketProcessor(daemon, "a")
    await processor.join()
    assert {number: processor.rows[home(number)].sequence >= transaction for number, transaction in acknowledged.items()} == dict.fromkeys(
        acknowledged, True
    )
    await processor.end()


async def test_kill_loses_no_acknowledged_registration_on_sqlite(daemon: Daemon) -> None:
    await no_acknowledged_registration_is_lost(daemon)


async def test_kill_loses_no_acknowledged_registration_on_postgresql(daemon: Daemon, postgresql: Postgresql) -> None:
    daemon.config["database"] = {"url": postgresql.database()}
    await no_acknowledged_registration_is_lost(daemon)


async def test_a_standby_adopts_when_the_process_ends_and_waits_for_no_lease(daemon: Daemon) -> None:
    daemon.config["lease_ms"] = 600_000
    await asyncio.to_thread(daemon.start)
    active, standby = PacketProcessor(daemon, "a"), PacketProcessor(daemon, "s", role="standby")
    await active.join()
    await standby.join()
    active.say(*(m.Register(n, home(n), care_of(n), 1, 3600, 0xC000, 0) for n in range(100)))
    await active.wait(m.Registered, 100)
    await active.end(abort=True)
    adopt = await standby.wait(m.Adopt)
    assert adopt.previous_owner == "a"
    assert len(standby.rows) == 100, "it knew the bindings before"
    page = (await daemon.api("GET", "/v1/bindings?owner=s&limit=1000")).body
    assert len(page["bindings"]) == 100
    state = (await daemon.api("GET", "/v1/home-agents/a")).body
    assert (state["state"], state["proof"], state["serving"]) == ("stopped", "process_gone", False)
    await standby.end()


async def test_a_process_that_lives_on_keeps_its_bindings_until_its_lease_has_ended(daemon: Daemon) -> None:
    daemon.config["lease_ms"] = 1000
    await asyncio.to_thread(daemon.start)
    active, standby = PacketProcessor(daemon, "a"), PacketProcessor(daemon, "s", role="standby")
    await active.join()
    await standby.join()
    active.register(1, 1)
    await active.wait(m.Registered)
    begun = time.monotonic()
    await active.break_link()
    await standby.wait(m.Adopt)
    assert time.monotonic() - begun >= 0.8
    assert (await daemon.api("GET", "/v1/home-agents/a")).body["proof"] == "lease_ended"
    active.health.close()
    await standby.end()


async def test_an_address_moves_between_two_active_ones_by_revoke(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.start)
    a, b = PacketProcessor(daemon, "a"), PacketProcessor(daemon, "b")
    await a.join()
    await b.join()
    a.register(1, 1)
    await a.wait(m.Registered)
    b.register(1, 2)
    revoke = await a.wait(m.Revoke)
    assert not [message for message in b.messages if isinstance(message, m.Registered)]
    a.say(m.Revoked(revoke.home_address, revoke.revision))
    assert (await b.wait(m.Registered)).status == 0
    await a.end()
    await b.end()


async def test_ten_thousand_bindings_in_200_mb_are_pushed(daemon: Daemon) -> None:
    daemon.config |= {"lease_ms": 60_000, "missed_beats": 100}
    await asyncio.to_thread(daemon.start)
    a = PacketProcessor(daemon, "a")
    await a.join()
    for start in range(0, 10_000, 500):
        a.say(*(m.Register(n, home(n), care_of(n), 1, 3600, 0xC000, n + 2**63) for n in range(start, start + 500)))
        await a.wait(m.Registered, start + 500)
    fresh = PacketProcessor(daemon, "s", role="standby")
    begun = time.monotonic()
    await fresh.join()
    print(f"10000 bindings pushed in {time.monotonic() - begun:.2f} s")
    assert len(fresh.rows) == 10_000
    assert daemon.rss_mb() < 200
    await a.end()
    await fresh.end()


async def test_three_thousand_registrations_cost_less_than_a_second_of_one_core(daemon: Daemon) -> None:
    """CPU time, not wall time: other work on the machine does not count."""
    await asyncio.to_thread(daemon.start)
    a, s = PacketProcessor(daemon, "a"), PacketProcessor(daemon, "s", role="standby")
    await a.join()
    await s.join()
    before = daemon.cpu_s()
    count = 6000
    for start in range(0, count, 20):
        a.say(*(m.Register(n, home(n % 1000), care_of(n), n // 1000 + 1, 3600, 0xC000, n + 2**63) for n in range(start, start + 20)))
        await a.wait(m.Registered, start + 20)
    cpu_s = daemon.cpu_s() - before
    assert {answer.status for answer in a.messages if isinstance(answer, m.Registered)} == {0}
    assert cpu_s / count < 1 / 3000
    await a.end()
    await s.end()


# --- who may connect ----------------------------------------------------------------------------------------------------


async def test_a_wrong_token_is_refused(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.start)
    stranger = PacketProcessor(daemon, "a")
    stranger.token = "wrong"
    with pytest.raises(AssertionError, match="link closed"):
        await stranger.join()
    assert [message.code for message in stranger.messages if isinstance(message, m.Refused)] == ["authentication"]
    assert "wrong" not in daemon.log.read_text()
    await stranger.end()


async def test_a_certificate_is_asked_for_and_names_its_bearer(tmp_path: Path, authority: Authority) -> None:
    daemon = Daemon(tmp_path, authority)
    daemon.config["link"]["tls"]["client_ca"] = str(authority.ca)
    del daemon.config["link"]["token_file"]
    try:
        await asyncio.to_thread(daemon.start)
        a = PacketProcessor(daemon, "a", certificate=True)
        await a.join()
        liar = PacketProcessor(daemon, "a", certificate=True)
        liar.name = "b"
        with pytest.raises(AssertionError, match="link closed"):
            await liar.join()
        nobody = PacketProcessor(daemon, "c")
        with pytest.raises((AssertionError, OSError)):
            await nobody.join()
        names = [agent["name"] for agent in (await daemon.api("GET", "/v1/home-agents")).body["home_agents"]]
        assert names == ["a"]
        for processor in (a, liar, nobody):
            processor.health.close()
    finally:
        daemon.end()


async def test_rubbish_on_the_link_ends_that_connection_only(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.start)
    a = PacketProcessor(daemon, "a")
    await a.join()
    for rubbish in (b"\xff" * 100, b"\0\0\0\0", b"\0\0\0\x03abc", b"GET / HTTP/1.1\r\n\r\n"):
        vandal = PacketProcessor(daemon, "v")
        await vandal.connect()
        vandal._writer.write(rubbish)
        async with asyncio.timeout(PATIENCE_S):
            await vandal.closed.wait()
        await vandal.end()
    reader, writer = await asyncio.open_connection("::1", daemon.link_port)
    writer.write(b"no TLS at all\r\n" * 10)
    async with asyncio.timeout(PATIENCE_S):
        await reader.read()
    writer.close()
    a.register(1, 1)
    assert (await a.wait(m.Registered)).status == 0
    assert "Traceback" not in daemon.log.read_text()
    await a.end()


async def test_a_clean_stop_ends_with_status_0_and_everything_committed(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.start)
    a = PacketProcessor(daemon, "a")
    await a.join()
    a.register(1, 1)
    await a.wait(m.Registered)
    assert await asyncio.to_thread(daemon.stop) == 0
    await asyncio.to_thread(daemon.start)
    assert (await daemon.api("GET", "/v1/bindings/2001:db8:1::1")).status == 200
    await a.end()


async def test_a_second_process_on_the_same_database_ends_with_a_remedy(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.start)
    first = daemon.process
    daemon.start(wait=False)
    try:
        assert daemon.process is not None
        assert await asyncio.to_thread(daemon.process.wait, 20) == 2
        assert "stop the other HA-B" in daemon.log.read_text()
    finally:
        daemon.process = first
