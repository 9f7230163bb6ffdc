"""A wrong value anywhere in the inventory stops site.yml before anything changes; the message names the host, the field and the remedy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces

from tests.faults.lab import BIN, ROOT, STATE, environment, recap

ABSENT = object()


class Wrong(NamedTuple):
    """A value put into a file of the inventory, and what the message says: who, which field, and what to do."""

    file: str
    path: tuple[str | int, ...]
    value: Any
    says: tuple[str, str, str]


LAB, FUNCTIONS, LOOP = "group_vars/all/lab.yml", "group_vars/all/functions.yml", "group_vars/control_loops.yml"
CORE, CN, MN2 = "host_vars/core.yml", "host_vars/cn.yml", "host_vars/mn2.yml"
FIRST = ("lab_host", "interfaces", 0)

WRONG = {
    "unknown link": Wrong(CORE, (*FIRST, "link"), "nowhere", ("host core, interface cn", "link", "declare it or name one of")),
    "address twice": Wrong(CN, (*FIRST, "addresses"), ["2001:db8:c::ff/64"], ("host c", "addresses", "an address of its own")),
    "address of another link": Wrong(CN, (*FIRST, "addresses"), ["2001:db8:d::1/64"], ("host cn", "addresses", "take an address of")),
    "prefix with host bits": Wrong(LAB, ("lab_links", "cn", "prefix"), "2001:db8:c::1/64", ("link cn", "prefix", "write 2001:db8")),
    "prefix of another link": Wrong(LAB, ("lab_links", "cn", "prefix"), "2001:db8:f::/48", ("link", "prefix", "a prefix of its own")),
    "MTU below IPv6's": Wrong(CORE, (*FIRST, "mtu"), 900, ("host core, interface cn", "mtu", "1280")),
    "MTU as text": Wrong(CORE, (*FIRST, "mtu"), "jumbo", ("host core, interface cn", "mtu", "1280")),
    "sysctl of the machine": Wrong(CORE, ("lab_host", "sysctls"), {"kernel.panic": 1}, ("host core", "sysctls", "net")),
    "unknown field": Wrong(CORE, (*FIRST, "colour"), "red", ("host core, interface cn", "colour", "remove it or correct its name")),
    "text for a boolean": Wrong(CORE, ("lab_host", "forwarding"), "maybe", ("host core", "forwarding", "write true or false")),
    "next hop elsewhere": Wrong(
        CN, (*FIRST, "routes"), [{"to": "default", "via": "2001:db8:d::1"}], ("host cn", "routes, via", "name the router's address")
    ),
    "advertised on no interface": Wrong(
        CORE, ("lab_host", "router_advertisements", 0, "interface"), "wlan0", ("host core", "router_advertisements", "name one of")
    ),
    "unknown region": Wrong(FUNCTIONS, ("vf_modules", 0, "region"), "moon", ("VF module ha-pp-a", "region", "name one of")),
    "unknown role": Wrong(FUNCTIONS, ("vf_modules", 0, "role"), "spare", ("VF module ha-pp-a", "role", "write one of active, standby")),
    "VF module's address elsewhere": Wrong(
        FUNCTIONS, ("vf_modules", 0, "address"), "2001:db8:b::7", ("VF module ha-pp-a", "address", "correct it or leave it out")
    ),
    "unknown back end": Wrong(FUNCTIONS, ("regions", "region-a", "backend"), "cloud", ("region region-a", "backend", "write lab")),
    "no room as text": Wrong(FUNCTIONS, ("regions", "region-a", "capacity"), "much", ("region region-a", "capacity", "use 0 or more")),
    "listener's address elsewhere": Wrong(
        LOOP, ("control_loop_address",), "2001:db8:7::1", ("host control", "address", "give one of 2001:db8:be::2")
    ),
    "unknown condition": Wrong(
        LOOP,
        ("control_loop_policy", "loops", 0, "condition", "kind"),
        "hunch",
        ("host control, policy", "loops.0..condition", "kind|allowed"),
    ),
    "unknown redundancy": Wrong(FUNCTIONS, ("redundancy",), "hot", ("redundancy", "'hot'", "write one of cold, standby")),
    "home agent address elsewhere": Wrong(
        FUNCTIONS, ("home_network", "shared_address"), "2001:db8:7::1", ("host ha-b", "shared address", "give one, or use per_instance")
    ),
    "HA-B's address is a name": Wrong(FUNCTIONS, ("backend", "address"), "ha-b.example", ("ha-b", "address", "2001:db8")),
    "HA-B's port": Wrong(FUNCTIONS, ("backend", "link_port"), 70000, ("ha-b", "port", "65535")),
    "home address elsewhere": Wrong(
        MN2, ("mobile_node_home_address",), "2001:db8:7::1", ("host mn2", "home address", "is not an address of the home prefix; give one")
    ),
    "home address twice": Wrong(MN2, ("mobile_node_home_address",), "2001:db8:100::1001", ("mn2", "home address", "its own")),
    "home address missing": Wrong(MN2, ("mobile_node_home_address",), ABSENT, ("mn2", "mobile_node_home_address", "required|undefined")),
    "function as root": Wrong(FUNCTIONS, ("vf_module_user",), "root", ("VF module ha-pp-a", "user: ", "give an unprivileged user")),
    "unknown user": Wrong(MN2, ("mobile_node_user",), "nobody-of-this-name", ("host mn2", "user: ", "give the name of one")),
    "reserved SPI": Wrong(MN2, ("mobile_node_spi",), 255, ("host mn2", "spi", "use 256 to 4294967295")),
}


def inventory_with(wrong: Wrong, folder: Path) -> Path:
    """A copy of inventories/lab with the one wrong value."""
    copy = folder / "inventory"
    shutil.copytree(ROOT / "inventories/lab", copy)
    file = copy / wrong.file
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    place = data
    for key in wrong.path[:-1]:
        place = place[key]
    if wrong.value is ABSENT:
        del place[wrong.path[-1]]
    else:
        place[wrong.path[-1]] = wrong.value
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return copy


def play(book: str, lab: str, inventory: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(BIN / "ansible-playbook"), f"playbooks/{book}.yml", "-i", str(inventory), "--extra-vars", json.dumps({"lab_name": lab})]
    return subprocess.run(argv, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def traces(lab: str) -> list[str]:
    """What a lab leaves on the machine."""
    return [str(path) for path in (*namespaces.RUN_DIRECTORY.glob(f"{lab}-*"), STATE / lab) if path.exists()]


@pytest.mark.parametrize("what", WRONG)
def test_site_refuses_a_wrong_value_before_anything_changes(what: str, tmp_path: Path) -> None:
    wrong = WRONG[what]
    lab = f"clf{os.getpid()}i"
    done = play("site", lab, inventory_with(wrong, tmp_path))
    try:
        text = " ".join((done.stdout + done.stderr).split())
        assert done.returncode != 0, "site.yml took it"
        for part in wrong.says:
            assert re.search(part, text), f"{part!r} is not in: {text[-1500:]}"
        assert recap(done.stdout).get("changed", 0) == 0
        assert traces(lab) == []
    finally:
        if traces(lab):
            play("teardown", lab, ROOT / "inventories/lab")
