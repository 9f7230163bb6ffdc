"""One machine of User Mode Linux: boots on this machine's files, runs commands as root in its own kernel, and is gone with its owner."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from tests.uml.init import JOB

INIT = Path(__file__).with_name("init.py")
MEMORY_MIB = 1024
DEADLINE_S = 600


class Machine:
    """`folder` is its JOB (init.py); what it prints comes here line by line, with its name before it."""

    def __init__(self, kernel: Path, name: str, folder: Path, commands: list[list[str]]) -> None:
        self.name, self.folder, self._commands = name, folder, commands
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "commands.json").write_text(json.dumps(commands))
        # However this process ends, the process namespace goes, and with it the machine and the processes it makes on this one.
        own = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL")
        boot = (str(kernel), "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", f"mem={MEMORY_MIB}M")
        console = ("con=null", "con0=null,fd:1", f"uml_dir={folder}/")
        self._process = subprocess.Popen(
            [*own, *boot, *console, f"init={sys.executable}", "--", str(INIT), str(folder)],
            env=os.environ | {"TMPDIR": _memory_folder(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._printing = threading.Thread(target=self._print)
        self._printing.start()

    def _print(self) -> None:
        assert self._process.stdout is not None, "a pipe was asked for"
        for line in self._process.stdout:
            print(f"{self.name}: {line.decode(errors='replace').rstrip().rsplit(chr(13), 1)[-1]}", flush=True)

    def statuses(self) -> list[int]:
        """Exit statuses of the commands, once the machine is off. Raises SystemExit when it did not get to the end."""
        try:
            self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"the machine {self.name} did not end within {DEADLINE_S} s") from None
        self._printing.join()
        file = self.folder / "statuses.json"
        if not file.exists():
            raise SystemExit(f"the machine {self.name} ended with {self._process.returncode} before its commands did")
        return list(json.loads(file.read_text()))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._printing.join()


def job(name: str) -> str:
    """The path, inside the machine, of a file of its folder."""
    return f"{JOB}/{name}"


def _memory_folder(folder: Path) -> str:
    """Where the machine's memory is a file: /dev/shm, unless it is as small as containers often have it."""
    shared = Path("/dev/shm")
    return str(shared if shared.is_dir() and shutil.disk_usage(shared).free > 2 * MEMORY_MIB << 20 else folder)
