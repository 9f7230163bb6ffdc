"""The lookup of what playbooks recorded about VF modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.closedloop.mobility.plugins.lookup.vf_module_placement import LookupModule


def _placement(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = LookupModule().run([str(directory)])
    return found


def test_each_record_is_known_by_the_name_of_its_file(tmp_path: Path) -> None:
    records = {name: {"name": name, "region": "region-a", "state": "present"} for name in ("ha-pp-b", "ha-pp-a")}
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    (tmp_path / "ha-pp-c.json.tmp").write_text("half")
    assert _placement(tmp_path) == [records]
    assert list(_placement(tmp_path)[0]) == ["ha-pp-a", "ha-pp-b"]


def test_nothing_was_placed_where_there_is_no_directory(tmp_path: Path) -> None:
    assert _placement(tmp_path / "placement") == [{}]


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_broken_record_is_named_with_a_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "ha-pp-a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(AnsibleLookupError, match=r"ha-pp-a\.json: the record of a VF module .*; restore the file, or remove it"):
        _placement(tmp_path)
