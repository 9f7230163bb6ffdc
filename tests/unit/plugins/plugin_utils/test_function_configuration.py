"""A configuration is judged by the installed functions' own library; nothing that it names need exist."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils import function_configuration

COMMAND = str(Path(sys.executable).parent / "mobile-node")
SOUND: dict[str, Any] = {
    "home_address": "2001:db8:100::1001",
    "home_prefix": "2001:db8:100::/64",
    "home_agents": ["2001:db8:100::1"],
    "interfaces": ["eth0"],
    "spi": 256,
    "key_file": "/nowhere/mobility.key",
    "http": {"token_file": "/nowhere/status.token"},
}


def _problems(command: str = COMMAND, **fields: Any) -> list[str]:
    return function_configuration.problems(json.dumps({**SOUND, **fields}), "mobile_node", command, "host mn1")


def test_a_sound_configuration_has_no_problem_though_its_secrets_do_not_exist_yet() -> None:
    assert _problems() == []


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"bogus": 1}, "host mn1, bogus: is not a field; remove it or correct its name"),
        ({"timers": {"bogus": 1}}, "host mn1, timers.bogus: is not a field; remove it or correct its name"),
        ({"http": {"port": "x"}}, "host mn1, http.port: expected int, got str; give a value of type int"),
        ({"interfaces": ["eth0", "eth0"]}, "names one twice; name each once"),
    ],
)
def test_a_wrong_field_is_named_with_host_and_remedy(fields: dict[str, Any], line: str) -> None:
    (found,) = _problems(**fields)
    assert found.startswith("host mn1, ")
    assert line in found


@pytest.mark.parametrize(
    ("kind", "content", "line"),
    [
        ("policy", {"version": 1, "loops": []}, "host control, loops: expected list of length >= 1; correct the value"),
        ("ves", {"journal": "/nowhere", "bogus": 1}, "host control, bogus: is not a field; remove it or correct its name"),
    ],
)
def test_the_control_loop_judges_its_own(kind: str, content: dict[str, Any], line: str) -> None:
    command = str(Path(sys.executable).parent / "closedloop")
    assert function_configuration.problems(json.dumps(content), kind, command, "host control") == [line]


def test_a_library_that_is_not_there_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho \"No module named 'closedloop_nf'\" >&2\nexit 1\n", encoding="ascii")
    python.chmod(0o755)
    (found,) = _problems(str(tmp_path / "mobile-node"))
    assert found.startswith(
        f"host mn1: cannot be checked with {python} (No module named 'closedloop_nf'); install the network functions or the loop"
    )
    python.chmod(0o644)
    (found,) = _problems(str(tmp_path / "mobile-node"))
    assert "install the network functions" in found


def test_without_a_python_beside_the_program_it_is_ansibles_own(tmp_path: Path) -> None:
    assert function_configuration.interpreter_of(str(tmp_path / "ha-b")) == sys.executable
