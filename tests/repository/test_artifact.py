"""The tarball holds the collection, all of it, and nothing else; and it works where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SHIPPED = {
    "LICENSE",
    "README.md",
    "changelogs",
    "docs",
    "inventories",
    "loop",
    "meta",
    "nf",
    "playbooks",
    "plugins",
    "requirements.yml",
    "roles",
    "tests",
    "tools",
}
ALSO_SHIPPED = {"MANIFEST.json", "FILES.json", "CHANGELOG.md", "CONTRIBUTING.md", "extensions"}


def run(*argv: str, cwd: Path, collections: Path | None = None) -> str:
    """Run a command of the environment without the checkout's Ansible configuration; returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"HOME": str(cwd), "PATH": f"{BIN}:{os.environ['PATH']}"}
    if collections:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    run("ansible-galaxy", "collection", "build", "--output-path", str(folder), str(ROOT), cwd=folder)
    return next(folder.glob("closedloop-mobility-*.tar.gz"))


@pytest.fixture(scope="module")
def installed(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path elsewhere, in which the artifact is installed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run("ansible-galaxy", "collection", "install", "--offline", "--no-deps", "-p", str(folder), str(artifact), cwd=folder)
    return folder


def names_in(artifact: Path) -> list[str]:
    with tarfile.open(artifact) as tar:
        return [member.name for member in tar.getmembers()]


def test_every_part_of_the_collection_is_shipped_and_nothing_else(artifact: Path) -> None:
    top = {name.split("/")[0] for name in names_in(artifact)}
    assert SHIPPED - top == set()
    assert top - SHIPPED - ALSO_SHIPPED == set()


def test_tests_that_need_the_checkout_stay_there(artifact: Path) -> None:
    shipped = {"/".join(name.split("/")[:3]) for name in names_in(artifact) if name.startswith("tests/") and name.count("/") >= 2}
    assert shipped <= {"tests/unit/plugins", "tests/sanity/ignore-2.19.txt"}


def test_nothing_that_a_run_leaves_is_shipped(artifact: Path) -> None:
    left = [name for name in names_in(artifact) if "__pycache__" in name or "_cache" in name or name.endswith((".pyc", ".log", ".tar.gz"))]
    assert not left


def test_functions_loop_and_measurements_can_be_installed_from_the_artifact(artifact: Path) -> None:
    parts = {"nf": "closedloop_nf", "loop": "closedloop_loop", "tools": "closedloop_tools"}
    wanted = {f"{part}/{file}" for part, package in parts.items() for file in ("pyproject.toml", f"src/{package}/__init__.py")}
    assert wanted <= set(names_in(artifact))


@pytest.mark.parametrize("playbook", ["site", "deploy", "failover", "move", "teardown", "measure_failover"])
def test_an_installed_playbook_is_found_by_its_full_name(installed: Path, tmp_path: Path, playbook: str) -> None:
    inventory = installed / "ansible_collections/closedloop/mobility/inventories/lab"
    argv = ("ansible-playbook", "--syntax-check", "-i", str(inventory), f"closedloop.mobility.{playbook}")
    assert "playbook:" in run(*argv, cwd=tmp_path, collections=installed)


def test_the_checkout_finds_a_playbook_by_either_name(tmp_path: Path) -> None:
    for name in ("playbooks/site.yml", "closedloop.mobility.site"):
        subprocess.run([str(BIN / "ansible-playbook"), "--syntax-check", name], cwd=ROOT, check=True, capture_output=True)
