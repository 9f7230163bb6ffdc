"""Every module as Ansible starts it: arguments in, JSON out."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.closedloop.mobility.plugins"
HOST: dict[str, Any] = {
    "netns": {"namespaces": [{"name": "never-made"}]},
    "netns_link": {"fabric": "f", "interfaces": [{"namespace": "never-made", "name": "eth0", "link": "l"}]},
    "file_set": {"files": [{"path": "/never/made", "content": ""}]},
    "netns_process": {"name": "d", "directory": "/never/made", "namespace": "never-made", "argv": ["true"]},
}


def _run(module: str, arguments: dict[str, Any], capsys: pytest.CaptureFixture[str], *, check_mode: bool = False) -> dict[str, Any]:
    with patch_module_args({**arguments, "_ansible_check_mode": check_mode, "_ansible_diff": True}), pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.modules.{module}").main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_file_set_writes_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {
        "files": [{"path": str(tmp_path / "a"), "content": "x"}, {"path": str(tmp_path / "k"), "secret": "s3cr3t", "mode": "0600"}]
    }
    predicted = _run("file_set", arguments, capsys, check_mode=True)
    assert predicted["changed"]
    assert not (tmp_path / "a").exists()
    done = _run("file_set", arguments, capsys)
    assert done["changed"]
    assert done["diff"]["after"][str(tmp_path / "a")]["content"] == "x"
    assert "s3cr3t" not in json.dumps(done)
    again = _run("file_set", arguments, capsys)
    assert not again["changed"]
    assert "diff" not in again


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("netns", {"namespaces": [{"name": "../x"}]}, "namespace name '../x' is not valid"),
        ("netns_link", {"fabric": "f", "interfaces": [{"namespace": "n", "name": "eth0"}]}, "link '' is not valid"),
        ("netns_process", {"name": "d", "directory": "/tmp/x", "namespace": "n"}, "missing: argv"),
        ("netns_reachable", {"paths": [{"namespace": "n", "to": "10.0.0.1"}]}, "'10.0.0.1' is not an IPv6 address"),
        ("file_set", {"files": [{"path": "x", "content": ""}]}, "is not absolute"),
        ("netns_host", HOST | {"netns_process": {"name": "d"}}, "netns_process: missing required arguments: directory"),
        ("netns_host", HOST | {"file_set": {"files": [{"path": "/x", "secret": "s"}]}}, "a secret is not for this module"),
        ("control_loop_info", {"url": "x", "ca_file": "/x", "runner_socket": "/x"}, "is not the root of a VES listener"),
        ("home_agent_info", {"url": "x"}, "is not the root of an HTTP API"),
        ("home_agent_info", {"url": "http://[::1]:1", "wait_for": "ready"}, "missing: name"),
        ("binding_info", {"url": "http://[::1]:1", "home_address": "x"}, "home_address 'x' is not an IPv6 address"),
        ("home_agent", {"url": "http://[::1]:1", "name": "a", "state": "absent"}, "check that it runs"),
        (
            "mobile_node",
            {"url": "http://[::1]:1", "home_address": "2001:db8::1", "spi": 256},
            "any of the following are missing: key, key_file",
        ),
    ],
)
def test_a_wrong_argument_fails_with_its_name(
    module: str, arguments: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = _run(module, arguments, capsys)
    assert result["failed"]
    assert message in result["msg"]
    assert "Traceback" not in json.dumps(result)


def test_a_dry_run_of_a_host_tells_all_that_would_be_made_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    told = _run("netns_host", HOST, capsys, check_mode=True)
    assert told["changed"]
    assert all(told[step]["changed"] for step in HOST)
    assert set(told["diff"]["after"]) == set(HOST)
    assert not Path("/never").exists()
