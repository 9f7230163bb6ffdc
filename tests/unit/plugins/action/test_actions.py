"""Every module has an action plug-in that does the same work without a process of its own."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml
from ansible_collections.closedloop.mobility.plugins.plugin_utils.in_process import InProcessAction

PACKAGE = "ansible_collections.closedloop.mobility.plugins"
PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
MODULES = sorted(file.stem for file in (PLUGINS / "modules").glob("*.py"))


def _action(name: str) -> type[InProcessAction]:
    found: type[InProcessAction] = importlib.import_module(f"{PACKAGE}.action.{name}").ActionModule
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_an_action_plug_in_that_names_it(name: str) -> None:
    action = _action(name)
    assert issubclass(action, InProcessAction)
    assert action.module_name == f"closedloop.mobility.{name}"


@pytest.mark.parametrize("name", MODULES)
def test_documentation_and_arguments_agree(name: str) -> None:
    """ansible-test compares module and documentation in depth; here the action plug-in's arguments are held against the same page."""
    documented = yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{name}").DOCUMENTATION)
    options = set(documented["options"])
    for fragment in documented["extends_documentation_fragment"]:
        text = importlib.import_module(f"{PACKAGE}.doc_fragments.{fragment.rpartition('.')[2]}").ModuleDocFragment.DOCUMENTATION
        options |= set(yaml.safe_load(text)["options"])
    assert options == set(_action(name).argument_spec)
