"""The world of a decision: what the placement directory tells, and what it does not get away with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from closedloop_loop.files import FileError
from closedloop_loop.policy.placement import read_records, world

INVENTORY = """
regions:
  - {name: region-a, capacity: 2}
  - {name: region-b, capacity: 2}
modules:
  - {name: upf-1, region: region-b, group: upf}
  - {name: ha-pp-a, region: region-b, group: ha}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inventory.yml").write_text(INVENTORY)
    (tmp_path / "placement").mkdir()
    return tmp_path


def place(folder: Path, name: str, **fields: Any) -> Path:
    record = {"name": name, "region": "region-a", "role": "active", "address": "2001:db8::1", "state": "present", "replaces": "", **fields}
    file = folder / "placement" / f"{name}.json"
    file.write_text(json.dumps(record))
    return file


def modules(folder: Path) -> dict[str, tuple[str, str, str]]:
    found = world(folder / "inventory.yml", folder / "placement")
    assert found is not None
    return {module.name: (module.region, module.state, module.group) for module in found.modules}


def test_records_come_before_what_the_file_declares(folder: Path) -> None:
    place(folder, "ha-pp-a")
    place(folder, "ha-pp-b", region="region-b")
    assert modules(folder) == {
        "upf-1": ("region-b", "ready", "upf"),
        "ha-pp-a": ("region-a", "ready", "ha"),
        "ha-pp-b": ("region-b", "ready", "default"),
    }


def test_one_that_was_replaced_is_not_there_and_one_that_is_about_to_replace_is_deploying(folder: Path) -> None:
    place(folder, "ha-pp-a")
    place(folder, "ha-pp-b", replaces="ha-pp-a")
    assert modules(folder)["ha-pp-b"][1] == "deploying"
    place(folder, "ha-pp-a", state="replaced")
    assert "ha-pp-a" not in modules(folder)
    assert modules(folder)["ha-pp-b"][1] == "ready"


def test_one_that_leaves_is_draining_and_one_that_was_removed_is_not_there_even_if_declared(folder: Path) -> None:
    place(folder, "ha-pp-a", state="leaving")
    assert modules(folder)["ha-pp-a"][1] == "draining"
    place(folder, "ha-pp-a", state="removed")
    assert "ha-pp-a" not in modules(folder)


def test_one_that_is_about_to_serve_beside_another_is_deploying(folder: Path) -> None:
    place(folder, "ha-pp-a")
    place(folder, "ha-pp-b", relieves="ha-pp-a")
    assert (modules(folder)["ha-pp-a"][1], modules(folder)["ha-pp-b"][1]) == ("ready", "deploying")
    place(folder, "ha-pp-b", relieves="")
    assert modules(folder)["ha-pp-b"][1] == "ready"


def test_nothing_placed_is_no_trouble(folder: Path) -> None:
    assert world(None, None) is None
    assert read_records(folder / "absent") == []
    place(folder, "ha-pp-a").rename(folder / "placement" / ".ha-pp-a.json.tmp")
    assert read_records(folder / "placement") == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "truncated"),
        (b"\xff", "JSON is malformed|utf-8|UTF-8"),
        (b"[]", "object"),
        (b'{"x":' + b"[" * 60_000, "recursion"),
        (b'{"name": "x"}', "region"),
        (b'{"name": "x", "region": 5, "state": "present"}', "region"),
        (b'{"name": "x", "region": "r", "state": "gone"}', "state"),
        (b'{"name": "y", "region": "r", "state": "present"}', "name: is 'y'"),
        (b'{"name": "../x", "region": "r", "state": "present"}', "name"),
        (b'{"name": "{{ x }}", "region": "r", "state": "present"}', "name"),
        (b'{"name": "x", "region": "r", "state": "present", "replaces": "a b"}', "replaces"),
        (b'{"name": "x", "region": "r", "state": "present", "relieves": "a b"}', "relieves"),
        (b'{"name": "x", "region": "r", "state": "present", "group": "a/b"}', "group"),
        (b" " * 65_537, "larger"),
    ],
)
def test_a_broken_record_is_named(folder: Path, content: bytes, told: str) -> None:
    (folder / "placement" / "x.json").write_bytes(content)
    with pytest.raises(FileError, match=told) as error:
        world(folder / "inventory.yml", folder / "placement")
    assert "x.json" in str(error.value)
    assert str(error.value).isprintable()


def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "placement" / "x.json")
    with pytest.raises(FileError, match="no plain file"):
        read_records(folder / "placement")
    (folder / "placement" / "x.json").unlink()
    (folder / "placement" / "x.json").symlink_to("/etc/passwd")
    with pytest.raises(FileError, match="plain file"):
        read_records(folder / "placement")


def test_a_name_that_a_terminal_would_act_upon_is_shown_as_text(folder: Path) -> None:
    (folder / "placement" / "\x1b[2J.json").write_text("{}")
    with pytest.raises(FileError) as error:
        read_records(folder / "placement")
    assert str(error.value).isprintable()


def test_a_broken_inventory_is_named(folder: Path) -> None:
    (folder / "inventory.yml").write_text("regions: [{name: r}]")
    with pytest.raises(FileError, match="capacity"):
        world(folder / "inventory.yml", folder / "placement")
