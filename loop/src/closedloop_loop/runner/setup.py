"""What stands around a server: the command it puts on PATH, and the variables that ansible-runner will set."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from closedloop_loop.errors import CommandError
from closedloop_loop.runner import client

LONGEST_FIRST_LINE: Final = 127
"""Octets of `#!...` that every kernel reads."""
ASK: Final = """
import json, os, sys
from ansible_runner.config.runner import RunnerConfig
config = RunnerConfig(private_data_dir=sys.argv[1], playbook="playbook.yml", inventory="localhost,")
config.prepare()
print(json.dumps({name: str(value) for name, value in config.env.items()}))
"""


def install(folder: Path, real: Path, socket: Path) -> Path:
    """Write `ansible-playbook` into `folder`: the client, for this interpreter, command and socket. Raises CommandError."""
    first = f"#!{sys.executable} -IS"
    if len(first) > LONGEST_FIRST_LINE or " " in sys.executable:
        raise CommandError(f"--shim: {sys.executable!r} is too long for a first line, or has a space: move the virtual environment")
    text = Path(client.__file__).read_text(encoding="utf-8")
    for name, value in (("REAL", real), ("SOCKET", socket.absolute())):
        text = text.replace(f'\n{name} = ""\n', f"\n{name} = {str(value)!r}\n", 1)
    target = folder / "ansible-playbook"
    if target.resolve() == real.resolve():
        raise CommandError(f"--shim: {folder} holds the ordinary command: name another folder")
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = folder / f".ansible-playbook.{os.getpid()}"
    fresh.write_text(f"{first}\n{text}", encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(target)
    return target


def like_ansible_runner(env: dict[str, str]) -> dict[str, str] | None:
    """The variables with which ansible-runner, started with `env`, starts a playbook; None where it is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "project").mkdir()
        asked = subprocess.run([sys.executable, "-c", ASK, folder], env=env, capture_output=True, check=False, timeout=30)
    if asked.returncode:
        return None
    return msgspec.json.decode(asked.stdout, type=dict[str, str])
