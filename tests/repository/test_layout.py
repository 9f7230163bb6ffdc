"""What a newcomer, Ansible and the tools may rely on in a checkout."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))

# Paths of one machine, and hosts of package registries: only the lock file may name these.
FORBIDDEN = re.compile(
    r"(?<![\w.])(?:/work/|/farm/|/root/\.|/home/[a-z]+/)"
    r"|\b(?:pypi\.org|pythonhosted\.org|proxy\.golang\.org|galaxy\.ansible\.com|registry\.npmjs\.org|docker\.io(?=/)|quay\.io|ghcr\.io)\b"
)


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def test_the_checkout_is_its_own_collection() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    itself = ROOT / "collections/ansible_collections" / galaxy["namespace"] / galaxy["name"]
    assert itself.is_symlink()
    assert itself.resolve() == ROOT


@pytest.mark.parametrize("target", ["demo", "test", "test-fast", "lint", "bench", "clean", "setup"])
def test_make_has_the_target(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()


@pytest.mark.parametrize("name", ["site", "provision", "deprovision", "evacuate", "deploy", "failover", "move", "teardown"])
def test_the_playbook_exists(name: str) -> None:
    assert (ROOT / "playbooks" / f"{name}.yml").is_file()


def test_there_are_roles_and_modules() -> None:
    assert ROLES
    assert MODULES


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_states_its_contract(role: Path) -> None:
    specification = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    for entry in specification.values():
        assert entry["short_description"]
        foreign = [name for name in entry.get("options", {}) if not name.startswith(f"{role.name}_")]
        assert not foreign, "public variables of a role begin with its name"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_module_is_documented(module: Path) -> None:
    assigned = {
        target.id: node.value
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for block in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
        assert yaml.safe_load(ast.literal_eval(assigned[block])), f"{module.name} has no {block}"


def test_collections_are_pinned_to_what_set_up_installs() -> None:
    import ansible_collections  # a namespace package of the PyPI package `ansible`

    installed = [Path(place) for place in ansible_collections.__path__]
    pinned = {entry["name"]: entry["version"] for entry in yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]}
    wanted = yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]
    assert set(pinned) == set(wanted)
    for name, version in pinned.items():
        assert version in SpecifierSet(wanted[name])
        manifest = next(
            place / name.replace(".", "/") / "MANIFEST.json" for place in installed if (place / name.replace(".", "/")).is_dir()
        )
        assert yaml.safe_load(manifest.read_text())["collection_info"]["version"] == version


def test_the_collections_declared_are_those_used() -> None:
    declared = set(yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"])
    used = {
        match.group(1)
        for folder in ("roles", "playbooks")
        for file in (ROOT / folder).rglob("*.yml")
        for match in re.finditer(r"^\s+(?:- )?([a-z_]+\.[a-z_]+)\.[a-z_]+:(?:\s|$)", file.read_text(), re.MULTILINE)
    }
    # Modules that an action plug-in calls, by their full name.
    used |= {
        match.group(1)
        for file in (ROOT / "plugins/plugin_utils/openstack_project").glob("*.py")
        for match in re.finditer(r"\"([a-z_]+\.[a-z_]+)\.[a-z_]+\"", file.read_text())
    }
    assert used - {"ansible.builtin", "closedloop.mobility"} == declared


def test_no_file_names_one_machine_or_a_registry() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {match.group()}"
        for file in tracked_files()
        if file.name != "uv.lock" and file != Path(__file__)
        for match in FORBIDDEN.finditer(file.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


def test_no_source_file_is_longer_than_400_lines() -> None:
    long = [
        str(file.relative_to(ROOT)) for file in tracked_files() if file.suffix in {".py", ".sh"} and file.read_bytes().count(b"\n") > 400
    ]
    assert not long
