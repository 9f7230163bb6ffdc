"""The definitions of images for EDA server and AWX: ansible-builder takes them, and they have the versions of uv.lock."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
FOLDER = ROOT / "extensions/environments"
DEFINITIONS = ["decision-environment", "execution-environment"]
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([0-9A-Za-z.]+)")


def locked() -> set[tuple[str, str]]:
    return {(package["name"], package["version"]) for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}


def pins(lines: list[str]) -> set[tuple[str, str]]:
    return {(found[1], found[2]) for line in lines if (found := PINNED.match(line))}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_ansible_builder_makes_a_build_context_of_it(name: str, tmp_path: Path) -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    folder = tmp_path / "environments"
    shutil.copytree(FOLDER, folder)
    artifact = f"{galaxy['namespace']}-{galaxy['name']}-{galaxy['version']}.tar.gz"
    (folder / artifact).write_bytes(b"as built by ansible-galaxy")
    argv = [str(BIN / "ansible-builder"), "create", "--file", f"{name}.yml", "--context", "context", "--output-filename", "Containerfile"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    recipe = (folder / "context/Containerfile").read_text()
    assert "closedloop/mobility" in recipe
    assert (folder / "context/_build" / artifact).exists()
    assert {entry["name"] for entry in yaml.safe_load((folder / "context/_build/requirements.yml").read_text())["collections"]} == {
        artifact,
        *galaxy["dependencies"],
    }


@pytest.mark.parametrize("name", DEFINITIONS)
def test_its_versions_are_those_of_the_lock_file(name: str) -> None:
    dependencies = yaml.safe_load((FOLDER / f"{name}.yml").read_text())["dependencies"]
    named = [dependencies["ansible_core"]["package_pip"], dependencies["ansible_runner"]["package_pip"], *dependencies.get("python", [])]
    assert len(pins(named)) == len(named), "every package has a version"
    assert pins(named) <= locked()


def test_the_constraints_are_the_lock_file() -> None:
    argv = [
        str(ROOT / ".tools/bin/uv"),
        "export",
        "--frozen",
        "--no-dev",
        "--no-emit-workspace",
        "--no-hashes",
        "--no-annotate",
        "--no-header",
    ]
    exported = subprocess.run([*argv, "--offline"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    head, written = (FOLDER / "constraints.txt").read_text().split("\n", 1)
    assert head.startswith("#")
    assert written == exported


def test_collections_have_the_versions_of_the_repository() -> None:
    here = yaml.safe_load((FOLDER / "requirements.yml").read_text())["collections"]
    there = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    assert [entry for entry in here if "version" in entry] == there


def test_ansible_builder_finds_what_the_collection_needs() -> None:
    argv = [str(BIN / "ansible-builder"), "introspect", str(ROOT / "collections")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = yaml.safe_load(done.stdout)["python"]
    needed = {re.split("[>=]", line)[0] for line in found if "closedloop.mobility" in line}
    assert needed == {"cryptography", "openstacksdk", "pyroute2"}


@pytest.mark.parametrize(("name", "extra"), [("functions", []), ("home_agent_backend", ["--extra", "postgresql"])])
def test_the_libraries_of_the_functions_images_are_the_lock_file(name: str, extra: list[str]) -> None:
    argv = [str(ROOT / ".tools/bin/uv"), "export", "--quiet", "--offline", "--frozen", "--package", "closedloop-nf", "--no-dev"]
    argv += ["--no-emit-workspace", "--no-annotate", "--no-header", *extra]
    exported = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / f"roles/function_image/files/{name}.txt").read_text() == exported
