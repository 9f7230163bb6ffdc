"""The file of recorded events after a process that was killed while it wrote."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from closedloop_loop.intake.pipeline import MEND_OCTETS, Recorder
from closedloop_loop.journal.messages import Delivery

WHOLE = b'{"event":1}\n{"event":2}\n'


@pytest.mark.parametrize("torn", [b"", b"{", b'{"event":' + b"3" * 100, b"4" * (MEND_OCTETS + 5)])
@pytest.mark.parametrize("whole", [b"", WHOLE])
def test_a_line_that_was_not_completed_is_removed_and_the_next_one_is_whole(tmp_path: Path, whole: bytes, torn: bytes) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(whole + torn)
    recorder = Recorder(str(file))
    asyncio.run(recorder.write([Delivery(id=1, body=b'{"event":5}')]))
    recorder.close()
    assert file.read_bytes() == whole + b'{"event":5}\n'
