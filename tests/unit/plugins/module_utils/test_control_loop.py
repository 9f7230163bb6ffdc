"""What is told of a control loop that does not get ready."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import control_loop
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def _run(runner: Path, **values: Any) -> Any:
    params = {
        "url": "https://[::1]:1",
        "ca_file": None,
        "runner_socket": str(runner),
        "process_records": [],
        "timeout_ms": 50,
    }
    return control_loop.run({**params, **values}, check_mode=values.get("check_mode", False))


@pytest.fixture(name="runner")
def _runner(tmp_path: Path) -> Iterator[Path]:
    """A runner's socket that greets."""
    path = tmp_path / "socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            connection.send(b"hello")
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_runner_that_is_not_there_is_named_by_its_socket(tmp_path: Path) -> None:
    with pytest.raises(MobilityError, match=r"ready within 50 ms: no; the runner does not answer at .*/socket: No such file"):
        _run(tmp_path / "socket")


def test_a_source_that_does_not_listen_is_named_by_its_address(runner: Path) -> None:
    with pytest.raises(MobilityError, match=r"nothing listens at \[::1\]:1"):
        _run(runner)


def test_a_process_that_has_ended_tells_its_last_words_at_once(runner: Path, tmp_path: Path) -> None:
    record = {"pid": 1, "start_ticks": -1, "boot_id": "other", "fingerprint": "", "argv": ["ansible-rulebook"]}
    (tmp_path / "rulebook.json").write_text(json.dumps(record))
    (tmp_path / "rulebook.log").write_text("starting\nno such file: policy.yml\n")
    with pytest.raises(MobilityError, match=r"process rulebook has ended instead of getting ready; .*no such file: policy.yml"):
        _run(runner, process_records=[str(tmp_path / "rulebook.json")], timeout_ms=60000)


def test_an_address_that_is_none_is_refused(runner: Path) -> None:
    with pytest.raises(MobilityError, match=r"is not the root of a VES listener; write https://"):
        _run(runner, url="http://[::1]:1")


def test_a_dry_run_does_not_wait(tmp_path: Path) -> None:
    assert _run(tmp_path / "socket", check_mode=True, timeout_ms=60000).values == {"waited_ms": 0}
