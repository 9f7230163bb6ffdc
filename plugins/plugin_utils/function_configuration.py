# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the configuration of a network function or of the control loop, asked of its own installed library before anything is
changed.

The command's --check also reads secrets and certificates, which a first run has yet to make. Here only the text is judged: every field,
its type, and the rules between fields.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 30
# Where each kind of configuration is described: library that reads YAML and has the error, module and name of the type.
_FUNCTION = ("closedloop_nf.runtime.config", "ConfigError")
_LOOP = ("closedloop_loop.files", "FileError")
KINDS = {
    "ha_b": (*_FUNCTION, "closedloop_nf.ha_b.config", "Config"),
    "ha_pp": (*_FUNCTION, "closedloop_nf.ha_pp.config", "Config"),
    "mobile_node": (*_FUNCTION, "closedloop_nf.mobile_node.config", "Config"),
    "policy": (*_LOOP, "closedloop_loop.policy.model", "Policy"),
    "ves": (*_LOOP, "closedloop_loop.intake.config", "SourceConfig"),
}
# Arguments: a row of the table. Standard input: the configuration. Standard output: one line for what is wrong, or nothing.
QUESTION = """
import importlib, sys
library, kind = importlib.import_module(sys.argv[1]), importlib.import_module(sys.argv[3])
try:
    library.parse(sys.stdin.read(), getattr(kind, sys.argv[4]))
except getattr(library, sys.argv[2]) as error:
    print(f"{error.field}: {error.problem}")
"""


def problems(text: str, function: str, command: str, where: str) -> list[str]:
    """At most one line (the library stops at the first): `where`, field, what was found, remedy.

    text is the file's content (YAML), function one of KINDS, command the path of its program."""
    python = interpreter_of(command)
    try:
        done = subprocess.run(
            [python, "-P", "-c", QUESTION, *KINDS[function]], input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"{where}: cannot be checked with {python} ({type(error).__name__}); {_remedy(command)}"]
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return [f"{where}: cannot be checked with {python} ({last}); {_remedy(command)}"]
    return [f"{where}, {line}" for line in done.stdout.splitlines()]


def interpreter_of(command: str) -> str:
    """The Python beside the program, which is that of its virtual environment or of the system; else Ansible's own."""
    beside = Path(command).resolve().parent / "python3"
    return str(beside) if beside.is_file() else sys.executable


def _remedy(command: str) -> str:
    return f"install the network functions or the loop of {command} (make setup, or pip install nf/ and loop/)"
