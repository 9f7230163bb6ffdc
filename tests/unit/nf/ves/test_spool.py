"""What is written outlives the process, whole transactions only."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from closedloop_nf.runtime.config import ConfigError
from closedloop_nf.ves.author import Alarm, Memory, Written
from closedloop_nf.ves.spool import Spool

WRITER = """
import sys, pathlib
from closedloop_nf.ves.author import Written
from closedloop_nf.ves.spool import Spool
spool = Spool(pathlib.Path(sys.argv[1]))
number = 0
while True:
    number += 1
    spool.write([Written(number, "fault", b"{}"), Written(-number, "fault", b"{}")], [], number)
    print(number, flush=True)
"""


def test_events_order_memory_and_number_come_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "queue")
    memory = Memory({"a/homeAgentLost": Alarm("ha-b-fault-7", 1, 0)}, {"a": "outOfService"})
    spool.write([Written(7, "fault", b"{7}"), Written(8, "heartbeat", b"{8}")], [], 8, msgspec.json.encode(memory))
    spool.write([Written(9, "fault", b"{9}")], [8], 9)
    spool.close()
    assert Spool(tmp_path / "queue").load() == ([Written(7, "fault", b"{7}"), Written(9, "fault", b"{9}")], memory, 9)
    assert (tmp_path / "queue").stat().st_mode & 0o777 == 0o600


def test_a_killed_writer_leaves_whole_transactions_and_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "queue")], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(30)][-1]
        with pytest.raises(ConfigError, match="no other process"):
            Spool(tmp_path / "queue")
        os.kill(writer.pid, signal.SIGKILL)
    events, _, number = Spool(tmp_path / "queue").load()
    assert number >= acknowledged
    assert [event.number for event in events] == [*range(-number, 0), *range(1, number + 1)]


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "queue")
    spool.write([Written(1, "fault", b"")], [])
    with pytest.raises(sqlite3.Error):
        spool.write([Written(2, "fault", b""), Written(3, None, b"")], [1])  # type: ignore[arg-type] # a column that may not be null
    assert [event.number for event in spool.load().events] == [1]
    spool.write([Written(4, "fault", b"")], [])
    assert [event.number for event in spool.load().events] == [1, 4]


@pytest.mark.parametrize("path", ["missing/queue", "."])
def test_a_file_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"ves\.queue: cannot be used .*; name a file in a writable folder"):
        Spool(tmp_path / path)
