"""Claims about the configuration file: what is wrong is said with field and remedy, before anything starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from closedloop_nf.mobile_node.config import Config, settings
from closedloop_nf.runtime import config as runtime_config
from closedloop_nf.runtime.addresses import from_text

KEY = "00112233445566778899aabbccddeeff"


def write(folder: Path, **changes: Any) -> Path:
    """A good configuration with changes; None removes a field."""
    key = folder / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    values = {
        "home_address": "2001:db8:a::100",
        "home_prefix": "2001:db8:a::/64",
        "home_agents": ["2001:db8:a0::1", "2001:db8:a1::1"],
        "interfaces": ["eth0"],
        "spi": 1000,
        "key_file": "key",
    } | changes
    file = folder / "mn.yml"
    file.write_text(yaml.safe_dump({name: value for name, value in values.items() if value is not None}))
    return file


def test_good_file_gives_the_cores_settings(tmp_path: Path) -> None:
    core = settings(runtime_config.load(write(tmp_path, timers={"initial_bindack_timeout_ms": 100}, lifetime_s=61), Config))
    assert core.home_address == from_text("2001:db8:a::100")
    assert core.home_agents == (from_text("2001:db8:a0::1"), from_text("2001:db8:a1::1"))
    assert core.security is not None
    assert core.security.key == bytes.fromhex(KEY)
    assert core.timers.initial_bindack_timeout_s == 0.1
    assert core.timers.first_bindack_timeout_s == 1.5
    assert core.lifetime_s == 60


def test_key_is_in_no_repr(tmp_path: Path) -> None:
    assert bytes.fromhex(KEY).hex() not in repr(settings(runtime_config.load(write(tmp_path), Config))).replace("\\x", "")
    assert "spi=1000" in repr(settings(runtime_config.load(write(tmp_path), Config)))


@pytest.mark.parametrize(
    ("changes", "field", "remedy"),
    [
        ({"home_address": None}, "home_address", "add it"),
        ({"home_address": "2001:db8:b::1"}, "home_address, home_prefix", "lies outside home_prefix"),
        ({"home_address": 5}, "home_address", "got int"),
        ({"home_prefix": "2001:db8:a::1/64"}, "home_prefix", "zero them"),
        ({"home_agents": ["ff02::1"]}, "home_agents[0]", "ff02::1 is not a routable unicast address"),
        ({"home_agents": ["2001:db8:a::100"]}, "home_agents, home_address", "holds the home address"),
        ({"home_agents": [], "discover_home_agents": False}, "home_agents, discover_home_agents", "turn discovery on"),
        ({"interfaces": []}, "interfaces", "length"),
        ({"interfaces": ["eth0", "eth0"]}, "interfaces", "name each once"),
        ({"spi": None}, "mobility_auth, spi, key_file", "give both or set mobility_auth: none"),
        ({"mobility_auth": "none"}, "mobility_auth, spi, key_file", "needs spi and key_file"),
        ({"spi": 7}, "spi", ">= 256"),
        ({"lifetime_s": 300_000}, "lifetime_s", "<= 262140"),
        (
            {"timers": {"max_bindack_timeout_ms": 10}},
            "timers.max_bindack_timeout_ms, timers.first_bindack_timeout_ms, timers.initial_bindack_timeout_ms",
            "raise it",
        ),
        ({"timers": {"max_bindack_timeout": 10}}, "timers.max_bindack_timeout", "correct its name"),
        ({"colour": "red"}, "colour", "correct its name"),
        ({"log_level": "loud"}, "log_level", "debug"),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, changes: dict[str, Any], field: str, remedy: str) -> None:
    with pytest.raises(runtime_config.ConfigError) as caught:
        runtime_config.load(write(tmp_path, **changes), Config)
    assert caught.value.field == field
    assert remedy in caught.value.problem


def test_no_authentication_needs_to_be_asked_for(tmp_path: Path) -> None:
    config = runtime_config.load(write(tmp_path, mobility_auth="none", spi=None, key_file=None), Config)
    assert settings(config).security is None


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "closedloop_nf.mobile_node.main", *arguments], capture_output=True, text=True, check=False)


def test_check_passes_a_good_file_and_refuses_a_readable_key(tmp_path: Path) -> None:
    file = write(tmp_path)
    assert run("--config", str(file), "--check").returncode == 0
    (tmp_path / "key").chmod(0o644)
    refused = run("--config", str(file), "--check")
    assert refused.returncode == 2
    assert "key_file" in refused.stderr
    assert "chmod 0600" in refused.stderr
    assert KEY not in refused.stderr


def test_schema_describes_every_field() -> None:
    schema = json.loads(run("--schema").stdout)
    fields = schema["$defs"]["Config"]["properties"]
    assert set(fields) == set(Config.__struct_fields__)
