"""What the records of a declaration are is what the role and the module say that one may write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.closedloop.mobility.plugins.modules import openstack_project as module
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project import run
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.declaration import Declaration
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.records import argument_spec

ROLE = Path(module.__file__).resolve().parents[2] / "roles/openstack_project/meta/argument_specs.yml"
PREFIX = "openstack_project_"
TOLD = {"description", "choices"}
"""What the records leave to the role."""


def records(kind: type) -> dict[str, Any]:
    """With what lists of records hold in the place of the record, as the role has it."""
    return {name: expanded(option) for name, option in argument_spec(kind).items()}


def expanded(option: dict[str, Any]) -> dict[str, Any]:
    held = option.get("record")
    return option if held is None else {key: value for key, value in option.items() if key != "record"} | {"options": records(held)}


def written(options: dict[str, Any]) -> dict[str, Any]:
    """Without what is for readers. A path is text that the role has expanded."""
    return {
        name: {key: written(value) if key == "options" else value for key, value in option.items() if key not in TOLD}
        | {"type": "str" if option["type"] == "path" else option["type"]}
        for name, option in options.items()
    }


def test_the_role_takes_what_the_records_have() -> None:
    options = yaml.safe_load(ROLE.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    role = {name.removeprefix(PREFIX): option for name, option in written(options).items()}
    declared = records(Declaration)
    assert {name: role[name] for name in declared} == declared


def test_the_module_documents_what_it_takes() -> None:
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert {name: {key: value for key, value in option.items() if key != "description"} for name, option in options.items()} == (
        run.ARGUMENT_SPEC
    )
