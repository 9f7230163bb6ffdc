"""`closedloop runner` as a process, and playbooks by the ordinary command and by the warm one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

ORDINARY = Path(sys.executable).with_name("ansible-playbook")
PATIENCE_S = 60.0
PLAY = "- hosts: all\n  gather_facts: false\n  tasks:\n"
FALLBACK = "closedloop runner: the ordinary command runs"
VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+"), "TIME"),
    (re.compile(r"\d:\d\d:\d\d\.\d+"), "DURATION"),
    (re.compile(r"ansible-local-\w+"), "ansible-local-X"),
)


def normal(text: str) -> str:
    """Without what differs between two runs of the same command."""
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return text


def until(true: Callable[[], Any], what: str) -> Any:
    """What `true` returns once it is true."""
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.01)
    return found


class Runner:
    """`closedloop runner` with a folder of its own, in which playbooks run."""

    def __init__(self, folder: Path, *options: str) -> None:
        """options: of the command, beside --socket and --shim."""
        self.options = options
        self.folder, self.log = folder, folder / "runner.log"
        self.socket, self.command = folder / "run" / "s", folder / "bin" / "ansible-playbook"
        self.started: list[subprocess.Popen[str]] = []
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTEST_"))},
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "CLOSEDLOOP_RUNNER": "explain",
            "PYTHONUNBUFFERED": "1",
        }

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            argv = [
                sys.executable,
                "-m",
                "closedloop_loop.main",
                "runner",
                "--socket",
                str(self.socket),
                "--shim",
                str(self.folder / "bin"),
                *self.options,
            ]
            self.process = subprocess.Popen(argv, cwd=self.folder, env=self.env, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        for _ in range(2):  # the second ends a drain
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
                return
        self.process.kill()
        self.process.wait()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def wait_warm(self, templates: int) -> None:
        until(lambda: self.events("runner_listening") and len(self.events("runner_warm")) >= templates, "templates are warm")

    def beside(self, folder: Path) -> Runner:
        """The same server for a test with a folder and variables of its own."""
        other = Runner(self.folder)
        other.env, other.folder, other.process = dict(self.env), folder, self.process
        return other

    def playbook(self, text: str, name: str = "playbook.yml") -> str:
        (self.folder / name).write_text(text)
        return name

    def start(self, command: Path, *argv: str, **options: Any) -> subprocess.Popen[str]:
        """On localhost, in the runner's folder; standard streams are pipes unless options say otherwise."""
        line = [str(command), "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", *argv]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(line, text=True, **{"cwd": self.folder, "env": self.env, **pipes, **options})
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill what a failed test left, stopped or not."""
        for process in self.started:
            process.kill()
            process.wait()

    def run(self, command: Path, *argv: str, **options: Any) -> tuple[int, str, str]:
        """Exit status, output, errors; normalised."""
        process = self.start(command, *argv, **options)
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        return process.returncode, normal(out), normal(err)

    def both(self, *argv: str, **options: Any) -> tuple[int, str, str]:
        """The same by both; asserts that they are equal and that the second was warm."""
        ordinary, warm = self.run(ORDINARY, *argv, **options), self.run(self.command, *argv, **options)
        assert FALLBACK not in warm[2]
        assert warm == ordinary
        return warm


def running(marker: str) -> Iterator[int]:
    """Processes whose variables contain `marker`."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if marker.encode() in (entry / "environ").read_bytes() or marker.encode() in (entry / "cmdline").read_bytes():
                yield int(entry.name)
