"""A wrong field of a configuration file: `PROGRAM --check` and the program itself end with status 2 and one line, and nothing is changed.

The line names the program, the file, the field and the remedy, and holds no secret.
"""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.daemons.ha_b.certificates import Authority
from tests.faults.lab import BIN

SECRET = "5ec12e7" * 8 + "00000000"
ABSENT = object()


class Wrong(NamedTuple):
    """A value at a path of the program's configuration; what the line has in the place of the field, and what in that of the remedy."""

    program: str
    path: tuple[str | int, ...]
    value: Any
    field: str
    remedy: str


WRONG = {
    "HA-PP, name with spaces": Wrong("ha-pp", ("name",), "an HA-PP", "name", "lower-case|pattern|regex"),
    "HA-PP, address of IPv4": Wrong("ha-pp", ("address",), "192.0.2.1", "address", "IPv6"),
    "HA-PP, number for an interface": Wrong("ha-pp", ("uplink_interface",), 7, "uplink_interface", "str"),
    "HA-PP, unknown role": Wrong("ha-pp", ("role",), "spare", "role", "correct the value"),
    "HA-PP, unknown field": Wrong("ha-pp", ("colour",), "red", "colour", "remove|correct"),
    "HA-PP, port": Wrong("ha-pp", ("backend", "port"), 70000, "backend.port", "65535"),
    "HA-PP, missing field": Wrong("ha-pp", ("home_link", "address"), ABSENT, "home_link.address", "add|missing|required"),
    "HA-PP, missing token": Wrong("ha-pp", ("backend", "token_file"), "none.token", "backend.token_file", "create it, mode 0600"),
    "HA-PP, token that others can read": Wrong("ha-pp", ("backend", "token_file"), "open.token", "backend.token_file", "chmod 0600"),
    "HA-PP, authority that is none": Wrong("ha-pp", ("backend", "tls", "ca"), "secret.token", "backend.tls.ca", "PEM"),
    "HA-PP, unknown user": Wrong("ha-pp", ("user",), "nobody-of-this-name", "user", "give the name of one, or a number"),
    "HA-B, root": Wrong("ha-b", ("user",), "root", "user", "give an unprivileged user"),
    "MN, root's number": Wrong("mobile-node", ("user",), 0, "user", "give a number from 1"),
    "HA-B, prefix with host bits": Wrong("ha-b", ("home_prefixes", 0), "2001:db8:100::1/64", "home_prefixes[0]", "host bits|write|/64"),
    "HA-B, no prefix": Wrong("ha-b", ("home_prefixes",), [], "home_prefixes", "at least|1"),
    "HA-B, shared address elsewhere": Wrong(
        "ha-b", ("shared_address",), "2001:db8:7::1", "shared_address, home_prefixes", "give an address of"
    ),
    "HA-B, lease shorter than a loss": Wrong("ha-b", ("lease_ms",), 200, "lease_ms, missed_beats, beat_ms", "raise lease_ms"),
    "HA-B, two databases": Wrong("ha-b", ("database", "url"), "postgresql://a@b/c", "database.path, database.url", "give either path"),
    "HA-B, no token for its API": Wrong("ha-b", ("http", "token_file"), ABSENT, "http.token_file", "set token_file"),
    "HA-B, certificate that is none": Wrong("ha-b", ("link", "tls", "certificate"), "secret.token", "link.tls.certificate", "PEM"),
    "MN, home address elsewhere": Wrong(
        "mobile-node", ("home_address",), "2001:db8:7::1", "home_address, home_prefix", "correct one of them"
    ),
    "MN, reserved SPI": Wrong("mobile-node", ("spi",), 255, "spi", "256"),
    "MN, no key": Wrong("mobile-node", ("key_file",), ABSENT, "mobility_auth, spi, key_file", "give both"),
    "MN, key that is none": Wrong("mobile-node", ("key_file",), "text.key", "key_file", "hexadecimal"),
    "MN, text for a time": Wrong("mobile-node", ("timers", "stop_timeout_ms"), "2 s", "timers.stop_timeout_ms", "int"),
    "MN, no interface": Wrong("mobile-node", ("interfaces",), [], "interfaces", "at least|1"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Secrets and certificates that the configurations name."""
    made = tmp_path_factory.mktemp("configurations")
    for name, mode, text in (("secret.token", 0o600, SECRET), ("open.token", 0o644, SECRET), ("text.key", 0o600, f"not hex {SECRET}")):
        (made / name).touch(mode=0o600)
        (made / name).write_text(text, encoding="ascii")
        (made / name).chmod(mode)
    Authority(made).issue("ha-b")
    return made


def configuration(program: str) -> dict[str, Any]:
    """One that the program takes. Nothing of it exists on this machine but the files."""
    tls = {"certificate": "ha-b.pem", "key": "ha-b.key"}
    known: dict[str, dict[str, Any]] = {
        "ha-pp": {
            "name": "ha-pp-a",
            "region": "region-a",
            "address": "2001:db8:a::1",
            "uplink_interface": "clf-uplink",
            "home_link": {"interface": "clf-home", "address": "2001:db8:100::a"},
            "backend": {"host": "2001:db8:be::1", "port": 7310, "tls": {"ca": "ca.pem"}, "token_file": "secret.token"},
            "health": {"address": "2001:db8:a::1", "port": 7320},
        },
        "ha-b": {
            "name": "ha-b",
            "home_prefixes": ["2001:db8:100::/64"],
            "home_agent_address": "shared",
            "shared_address": "2001:db8:100::1",
            "link": {"address": "2001:db8:be::1", "port": 7310, "tls": tls, "token_file": "secret.token"},
            "database": {"path": "bindings.sqlite"},
            "http": {"address": "2001:db8:be::1", "port": 7311, "tls": tls, "token_file": "secret.token"},
        },
        "mobile-node": {
            "home_address": "2001:db8:100::1001",
            "home_prefix": "2001:db8:100::/64",
            "home_agents": ["2001:db8:100::1"],
            "interfaces": ["clf-eth0"],
            "spi": 256,
            "key_file": "secret.token",
            "timers": {"stop_timeout_ms": 500},
        },
    }
    return copy.deepcopy(known[program])


def run(program: str, config: dict[str, Any], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    file = folder / f"{program}.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return subprocess.run([str(BIN / program), "--config", str(file), *options], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("program", ["ha-pp", "ha-b", "mobile-node"])
def test_a_good_configuration_passes_the_check(program: str, folder: Path) -> None:
    done = run(program, configuration(program), folder, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (folder / "bindings.sqlite").exists(), "a check makes nothing"


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_field_is_refused_by_the_check_and_by_the_program_itself(what: str, folder: Path) -> None:
    wrong = WRONG[what]
    config = configuration(wrong.program)
    place: Any = config
    for key in wrong.path[:-1]:
        place = place[key]
    if wrong.value is ABSENT:
        del place[wrong.path[-1]]
    else:
        place[wrong.path[-1]] = wrong.value
    before = sorted(folder.iterdir())
    for options in (["--check"], []):
        done = run(wrong.program, config, folder, *options)
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{wrong.program}: ")
        _program, _file, field, problem = line.split(": ", 3)
        assert field == wrong.field
        assert re.search(wrong.remedy, problem), line
        assert SECRET not in line
    assert {path.name for path in folder.iterdir()} - {path.name for path in before} <= {f"{wrong.program}.yml"}
