"""What was acknowledged is kept: kill -9 under load, a disk that takes nothing more, a consumer that does not keep up."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import re
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from closedloop_loop.journal.messages import Commit, Read
from closedloop_loop.journal.store import JournalError, SqliteJournal
from closedloop_tools.ves_source import load, soak
from closedloop_tools.ves_source.listener import PASSWORD, PATIENCE_S, USER, Listener

Make = Callable[..., Listener]
ROUNDS = 4
PLUGIN = Path(__file__).parents[3] / "extensions" / "eda" / "plugins" / "event_source" / "ves.py"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def recorded(file: Path) -> list[str]:
    return [json.loads(line)["event"]["commonEventHeader"]["eventId"] for line in file.read_bytes().splitlines()]


def test_every_event_acknowledged_before_a_kill_is_recorded_after_it(make: Make, tmp_path: Path) -> None:
    listener = make(record="events.jsonl")
    acknowledged: set[str] = set()
    for round_ in range(ROUNDS):
        size = (1, 10)[round_ % 2]
        requests = load.Requests(size, USER, PASSWORD, prefix=f"{round_}-")
        enough = 20 + 30 * round_

        def kill_in_the_middle(outcome: load.Outcome, enough: int = enough) -> None:
            if len(outcome.latencies_s) >= enough:
                listener.kill()

        outcome = load.run(("::1", listener.port), listener.tls, requests, connections=8, seconds=30, watch=kill_in_the_middle)
        assert set(outcome.statuses) == {202}
        assert outcome.broken == 8
        acknowledged |= {f"{round_}-{number:012d}" for number in outcome.acknowledged}
        listener.start()
    wait_for(lambda: listener.metric("backlog_events") == 0, "everything recorded")
    assert listener.stop() == 0
    assert len(acknowledged) > 100
    assert acknowledged <= set(recorded(tmp_path / "events.jsonl"))


def test_memory_and_journal_do_not_grow_under_load(tmp_path: Path) -> None:
    """The long one is `make bench-source`."""
    # Of a function come forty events with few sessions, then forty with many: in 80,000 events of 1,000 functions each had both.
    endured = soak.soak(tmp_path, seconds=20, event_hours=1.4, remember_events=5_000)
    assert endured.onsets > 0
    # What waits for a consumer that got no processor is held, too: no event takes 2 kB.
    assert endured.rss_growth_mb < 16 + 0.002 * max(endured.backlog_events)
    assert max(endured.journal_mb) < 512


def test_an_event_sent_again_after_a_kill_is_not_recorded_again(make: Make, tmp_path: Path) -> None:
    listener = make(record="events.jsonl")
    assert listener.send(load.measurement("m-1")).status == 202
    wait_for(lambda: listener.metric("backlog_events") == 0, "finished")
    wait_for(lambda: listener.metric("commits_total") >= 2, "the finish is durable")
    listener.kill()
    listener.start()
    assert listener.send(load.measurement("m-1")).status == 202
    assert listener.metric("duplicates_total") == 1
    assert listener.stop() == 0
    assert recorded(tmp_path / "events.jsonl") == ["m-1"]


def test_a_disk_that_takes_nothing_more_is_told_to_senders_and_recovers(make: Make) -> None:
    listener = make()
    assert listener.send(load.measurement("m-1")).status == 202
    assert listener.process is not None
    pid = listener.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    answer = listener.send(load.measurement("m-2"))
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.message_id == "SVC1000"
    assert listener.ask("GET", "/healthcheck").status == 503
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert listener.send(load.measurement("m-2")).status == 202
    assert listener.ask("GET", "/healthcheck").status == 200
    assert listener.metric("events_total") == 2


@pytest.fixture
def plugin() -> Any:
    spec = importlib.util.spec_from_file_location("ves_plugin", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    return {"journal": str(tmp_path / "source.db"), "host": "127.0.0.1", "port": 0, "insecure": True}


class Source:
    """The event source in this process, with a rulebook's queue of one event."""

    def __init__(self, plugin: Any, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)
        caplog.clear()
        caplog.set_level("INFO", "closedloop_loop.source")
        self._caplog = caplog
        self.task = asyncio.create_task(plugin.main(self.queue, arguments))

    async def port(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            while not (ports := [record.args[0] for record in self._caplog.records if "listening" in record.msg]):  # type: ignore[index]
                assert not self.task.done(), self.task
                await asyncio.sleep(0.01)
        return int(str(ports[0]))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            return await self.queue.get()

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def post(port: int, document: Any) -> int:
    status, head = await ask(port, document)
    assert status != 503 or int(re.findall(r"(?i)^retry-after: (\d+)\r?$", head, re.M)[0]) > 0
    return status


async def ask(port: int, document: Any) -> tuple[int, str]:
    """Status and head of the answer."""
    body = json.dumps(document).encode()
    path = "/eventListener/v7" + ("/eventBatch" if "eventList" in document else "")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))
    answer = await reader.read()
    writer.close()
    return int(answer[9:12]), answer.partition(b"\r\n\r\n")[0].decode()


async def test_the_rulebook_gets_typed_scalars_and_again_what_it_had_not_taken(
    plugin: Any, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(plugin, arguments, caplog)
    port = await source.port()
    events = [load.measurement(f"m-{number}")["event"] for number in range(5)]
    hostile: Any = load.measurement("m-9", source="{{ lookup('pipe', 'id') }}")["event"]
    assert await post(port, {"eventList": [*events[:2], hostile, *events[2:]]}) == 202
    first = await source.next()
    assert set(first) == {"record"}
    expected = {"kind": "measurement", "source": "ha-pp-a", "cloud_region_id": "region-a", "figure_bindings": 120.0}
    assert expected.items() <= first["record"].items()
    assert all(type(value) in (str, int, float) for value in first["record"].values())
    await source.end()

    again = Source(plugin, arguments, caplog)
    port = await again.port()
    rest = [(await again.next())["record"]["event_id"] for _ in range(4)]
    assert rest[-4:] == ["m-1", "m-2", "m-3", "m-4"] or rest[0] == "m-0", rest
    assert await post(port, {"event": events[0]}) == 202, "a duplicate"
    assert await post(port, load.measurement("m-10")) == 202
    async with asyncio.timeout(PATIENCE_S):
        while rest[-1] != "m-10":
            rest.append((await again.next())["record"]["event_id"])
    assert rest.count("m-0") <= 1
    await again.end()


async def test_a_rulebook_that_does_not_keep_up_is_told_to_senders(
    plugin: Any, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(plugin, {**arguments, "backlog_events": 10}, caplog)
    port = await source.port()
    statuses = [await post(port, load.measurement(f"m-{number}")) for number in range(20)]
    assert set(statuses) == {202, 503}
    accepted = [f"m-{number}" for number, status in enumerate(statuses) if status == 202]
    assert [(await source.next())["record"]["event_id"] for _ in accepted] == accepted
    async with asyncio.timeout(PATIENCE_S):
        while await post(port, load.measurement("m-99")) != 202:
            pass  # each takes a few milliseconds
    await source.end()


async def test_feedback_of_the_rulebook_is_waited_for(plugin: Any, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    feedback: asyncio.Queue[Any] = asyncio.Queue()
    source = Source(plugin, {**arguments, "feedback": True, "eda_feedback_queue": feedback}, caplog)
    port = await source.port()
    for number in range(2):
        assert await post(port, load.measurement(f"m-{number}")) == 202
    assert (await source.next())["record"]["event_id"] == "m-0"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await source.queue.get()
    await feedback.put({})
    assert (await source.next())["record"]["event_id"] == "m-1"
    await source.end()


POLICY = """
version: 1
loops:
  - name: failover
    scope: {sources: [ha-pp-*]}
    condition: {kind: fault, alarms: [homeAgentLost]}
    action: failover
"""


def fault(event_id: str, severity: str) -> dict[str, Any]:
    document: Any = load.measurement(event_id)
    event = document["event"]
    del event["measurementFields"]
    event["commonEventHeader"].update(domain="fault", sequence=int(severity == "NORMAL"))
    event["faultFields"] = {
        "faultFieldsVersion": "4.0", "alarmCondition": "homeAgentLost", "eventSeverity": severity, "eventSourceType": "virtualMachine",
        "specificProblem": "lease ended", "vfStatus": "Idle",
    }  # fmt: skip
    return dict(document)


async def test_with_a_policy_the_rulebook_gets_onsets_and_the_loop_goes_on_after_a_restart(
    plugin: Any, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "policy.yml").write_text(POLICY)
    arguments["policy"] = str(tmp_path / "policy.yml")
    source = Source(plugin, arguments, caplog)
    port = await source.port()
    assert await post(port, fault("f-1", "CRITICAL")) == 202
    assert await post(port, load.measurement("m-1")) == 202
    onset = (await source.next())["onset"]
    assert (onset["closedLoopEventStatus"], onset["target"], onset["closedLoopControlName"]) == ("ONSET", "ha-pp-a", "failover")
    await source.end()

    again = Source(plugin, arguments, caplog)
    assert await post(await again.port(), fault("f-1", "NORMAL")) == 202
    message = (await again.next())["onset"]
    while message["closedLoopEventStatus"] != "ABATED":  # the onset may come twice, as the same one
        assert message == onset
        message = (await again.next())["onset"]
    assert message["requestID"] == onset["requestID"]
    await again.end()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(tmp_path / "journal.db")
    yield opened
    opened.close()


def rows(*numbers: int) -> list[tuple[int, bytes, bytes]]:
    return [(number, b"key %d" % number, b"body %d" % number) for number in numbers]


def test_the_store_keeps_what_the_core_says(store: SqliteJournal) -> None:
    store.commit(Commit(rows(*range(1, 601)), finished=0, forget=0))
    store.commit(Commit(rows(605, 606), finished=598, forget=500, state=b"state"))
    store.commit(Commit([], finished=599, forget=500))
    assert store.read(Read(after=599, through=606, rows=9, octets=999)) == (
        [(600, b"body 600"), (605, b"body 605"), (606, b"body 606")],
        False,
    )
    assert store.read(Read(after=599, through=605, rows=9, octets=999)) == ([(600, b"body 600"), (605, b"body 605")], False)
    assert store.read(Read(after=599, through=606, rows=2, octets=999)) == ([(600, b"body 600"), (605, b"body 605")], True)
    assert store.read(Read(after=599, through=606, rows=9, octets=1)) == ([(600, b"body 600")], True)
    found = store.load(remember=3)
    assert (found.finished, found.last, found.backlog, found.state) == (599, 606, 3, b"state")
    assert found.keys == ((600, b"key 600"), (605, b"key 605"), (606, b"key 606"))
    everything = store.load(remember=10**6).keys
    assert set(everything) >= {(number, b"key %d" % number) for number in (*range(501, 601), 605, 606)}
    assert [number for number, _ in everything] == sorted({number for number, _ in everything})
    for again in (rows(606), rows(*range(400, 607))):
        with pytest.raises(JournalError):
            store.commit(Commit(again, finished=606, forget=0))
    found = store.load(remember=0)
    assert (found.finished, found.last, found.backlog, found.keys) == (599, 606, 3, ())


def test_a_journal_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    file = tmp_path / "newer.db"
    with contextlib.closing(sqlite3.connect(file)) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer release"):
        SqliteJournal(file)
    (tmp_path / "no.db").write_bytes(b"x" * 5000)
    with pytest.raises(JournalError, match="journal"):
        SqliteJournal(tmp_path / "no.db")
