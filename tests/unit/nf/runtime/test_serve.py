"""Driver, signals and command line of every function."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest
from closedloop_nf.runtime import serve
from closedloop_nf.runtime.clock import Instant, now


class Counting:
    """A core that asks for a tick `delay` seconds after each input and echoes what it gets."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.due: float | None = None
        self.ticks: list[float] = []

    def handle(self, event: str, at: Instant) -> list[str]:
        self.due = at.mono + self.delay
        return [event, event + "!"]

    def tick(self, at: Instant) -> list[str]:
        self.ticks.append(at.mono)
        self.due = None
        return ["tick"]

    def deadline(self) -> float | None:
        return self.due


async def test_actions_are_applied_in_order_and_an_input_fed_by_one_waits() -> None:
    applied: list[str] = []

    def apply(action: str) -> None:
        applied.append(action)
        if action == "a":
            driver.feed("b")

    driver: serve.Driver[str, str] = serve.Driver(Counting(10), apply)
    driver.feed("a")
    assert applied == ["a", "a!", "b", "b!"]
    driver.close()
    driver.feed("c")
    assert applied == ["a", "a!", "b", "b!"], "closed: nothing more is taken"


async def test_the_timer_fires_at_the_deadline_and_not_before() -> None:
    core = Counting(0.05)
    ticked = asyncio.Event()
    driver: serve.Driver[str, str] = serve.Driver(core, lambda action: ticked.set() if action == "tick" else None)
    driver.feed("a")
    due = core.due
    assert due is not None
    async with asyncio.timeout(5):
        await ticked.wait()
    assert core.ticks[0] >= due - 0.001
    driver.close()


async def test_an_exception_of_apply_leaves_the_driver_usable() -> None:
    calls: list[str] = []

    def apply(action: str) -> None:
        calls.append(action)
        if action == "a":
            raise OSError("no")

    driver: serve.Driver[str, str] = serve.Driver(Counting(10), apply)
    with pytest.raises(OSError, match="no"):
        driver.feed("a")
    driver.feed("b")
    assert calls[-1] == "b!"
    driver.close()


def test_both_clocks_are_read() -> None:
    assert abs(now().wall - time.time()) < 1
    assert abs(now().mono - time.monotonic()) < 1


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    log_level: str = "info"


def test_the_command_line_checks_prints_the_schema_and_names_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def start(settings: Settings, stop: asyncio.Event) -> None:
        raise AssertionError("not started by --check and --schema")

    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("name: a")
    bad.write_text("nam: a")
    assert serve.command_line("f", Settings, start, argv=["--config", str(good), "--check"]) == 0
    assert serve.command_line("f", Settings, start, argv=["--schema"]) == 0
    assert '"name"' in capsys.readouterr().out
    assert serve.command_line("f", Settings, start, argv=["--config", str(bad)]) == 2
    assert "nam: is not a field" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        serve.command_line("f", Settings, start, argv=[])


PROGRAM = """
    import asyncio, sys
    from closedloop_nf.runtime import serve
    async def main(stop):
        print("up", flush=True)
        if sys.argv[1] == "fails":
            raise ValueError("broken")
        await stop.wait()
        if sys.argv[1] == "hangs":
            print("hanging", flush=True)
            await asyncio.sleep(60)
        print("down", flush=True)
    sys.exit(serve.run(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_cleanly_with_status_0(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), "stops"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.kill(process.pid, number)
        assert process.stdout.read() == "down\n"
        assert process.wait(10) == 0


def test_a_second_signal_ends_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), "hangs"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.stdout.readline() == "hanging\n"
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def test_an_error_ends_with_status_1() -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(PROGRAM), "fails"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
