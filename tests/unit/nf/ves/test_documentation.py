"""docs/ves-events.md names what the code sends, and a function without `ves:` loads nothing of it."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from pathlib import Path

from closedloop_nf.ves import author, delivery, home_agent_backend, measurement, records
from closedloop_nf.ves.config import VesConfig

TEXT = (Path(__file__).parents[4] / "docs" / "ves-events.md").read_text("utf-8")
WORDS = set(re.findall(r"[A-Za-z0-9_]+", TEXT))


def test_every_field_of_every_record_is_described() -> None:
    types = [
        one for one in vars(records).values() if isinstance(one, type) and issubclass(one, records._Record) and one is not records._Record
    ]
    fields = {field for one in types for field in one.__struct_encode_fields__}
    assert len(types) >= 10
    assert fields <= WORDS


def test_every_word_an_event_may_say_is_described() -> None:
    assert set(typing.get_args(author.Condition)) <= WORDS
    assert set(typing.get_args(records.State)) <= WORDS
    assert set(typing.get_args(records.Domain)) <= WORDS
    assert {*home_agent_backend._CHANGES.values(), *home_agent_backend._KEYS.values(), *home_agent_backend._ENDINGS.values()} <= WORDS
    assert home_agent_backend._NOTIFIED.keys() == home_agent_backend._CHANGES.keys()


def test_every_setting_and_every_bound_is_described() -> None:
    assert set(VesConfig.__struct_fields__) <= WORDS
    assert f"at most {delivery.BATCH_EVENTS} events or {delivery.BATCH_OCTETS // 1_000_000} MB" in TEXT
    assert f"more than {measurement.NODES_PER_EVENT} such nodes" in TEXT
    assert f"{delivery.MAX_OCTETS // 1_000_000} MB" in TEXT


def test_the_commands_load_neither_the_reporter_nor_what_it_needs() -> None:
    program = (
        "import sys, closedloop_nf.ha_b.main, closedloop_nf.ha_pp.main, closedloop_nf.ha_pp.shell\n"
        "assert not {'closedloop_nf.ves.reporter', 'closedloop_nf.ves.records', 'aiohttp', 'sqlite3'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
