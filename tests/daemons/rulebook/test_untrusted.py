"""Text of an event is never a template, on the real way: source, ansible-rulebook, ansible-runner, ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent

# Places one event on the queue, as a source would that validates nothing.
SOURCE = """
import asyncio

async def main(queue, args):
    await queue.put(args["event"])
    await asyncio.sleep(1)
"""
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: What arrived is used as any variable
      ansible.builtin.copy:
        content: "{{ [onset, onset.target, onset.value + 1, ansible_eda.event.onset.target, ansible_eda] | to_json }}"
        dest: "{{ lookup('ansible.builtin.env', 'ARRIVED') }}"
        mode: "0600"
"""


def run(folder: Path, event: dict[str, Any], filters: list[dict[str, None]]) -> list[Any]:
    """What the playbook saw."""
    source = {"name": "hostile", "hostile": {"event": "{{ event_to_send }}"}, "filters": filters}
    action = {"run_playbook": {"name": str(folder / "playbook/seen.yml"), "extra_vars": {"onset": "{{ event.onset }}"}}}
    rule = {"name": "act", "condition": 'event.operation.action == "failover"', "action": action}
    (folder / "playbook").mkdir()
    (folder / "playbook/seen.yml").write_text(PLAYBOOK)
    (folder / "hostile.py").write_text(SOURCE)
    (folder / "rulebook.yml").write_text(json.dumps([{"name": "r", "hosts": "all", "sources": [source], "rules": [rule]}]))
    (folder / "variables.yml").write_text(json.dumps({"event_to_send": event}))
    (folder / "inventory.yml").write_text(
        json.dumps({"all": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}})
    )
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ARRIVED": str(folder / "arrived"),
    }
    names = {"rulebook": "rulebook.yml", "vars": "variables.yml", "source-dir": ".", "inventory": "inventory.yml"}
    argv = [str(BIN / "ansible-rulebook"), *(f"--{option}={folder / name}" for option, name in names.items()), "--shutdown-delay=30"]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert (folder / "arrived").is_file(), done.stdout + done.stderr
    return list(json.loads((folder / "arrived").read_text()))


@pytest.mark.parametrize("tagged", [True, False], ids=["with the filter", "without"])
def test_an_expression_in_an_event_is_evaluated_only_without_the_filter(tmp_path: Path, tagged: bool) -> None:
    executed = tmp_path / "executed"
    expression = "{{ lookup('ansible.builtin.pipe', 'echo run; touch " + str(executed) + "') }}"
    event = {"onset": {"target": expression, "value": 1.5}, "operation": {"action": "failover", "attempt": 1}}
    onset, target, number, added, everything = run(tmp_path, event, [{"closedloop.mobility.untrusted": None}] if tagged else [])
    assert executed.exists() is not tagged
    assert target == onset["target"] == added == (expression if tagged else "run")
    assert number == 2.5
    assert everything["rule"] == "act"


def test_the_rulebook_of_the_collection_names_the_filter() -> None:
    (ruleset,) = yaml.safe_load((ROOT / "extensions/eda/rulebooks/closed_loop.yml").read_text())
    assert [name for source in ruleset["sources"] for name in source["filters"]] == [{"closedloop.mobility.untrusted": None}]
    for rule in ruleset["rules"]:
        assert rule["action"]["run_playbook"]["extra_vars"] == {"onset": "{{ event.onset }}"}
