"""What is built from Go modules has the versions that the role kubernetes names, and every module of it a sum."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.repository.test_layout import ROOT

ROLE = ROOT / "roles/kubernetes"
VERSIONS = yaml.safe_load((ROLE / "vars/versions.yml").read_text())["__kubernetes_versions"]
PROGRAMS = yaml.safe_load((ROLE / "vars/build.yml").read_text())["__kubernetes_programs"]
MODULES = {
    "kubernetes": "k8s.io/kubernetes",
    "etcd": "go.etcd.io/etcd/server/v3",
    "coredns": "github.com/coredns/coredns",
    "containerd": "github.com/containerd/containerd/v2",
    "runc": "github.com/opencontainers/runc",
    "cni_plugins": "github.com/containernetworking/plugins",
}


def locked(source: str) -> dict[str, str]:
    """The versions of modules in a go.mod."""
    return dict(
        re.findall(r"^(?:require )?\t?(\S+) (v\S+)(?: // indirect)?$", (ROLE / "files/go" / source / "go.mod").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("source", MODULES)
def test_the_lock_has_the_version_of_the_role(source: str) -> None:
    assert locked(source)[MODULES[source]] == VERSIONS[source]


@pytest.mark.parametrize("source", MODULES)
def test_what_is_locked_has_a_sum(source: str) -> None:
    sums = (ROLE / "files/go" / source / "go.sum").read_text()
    assert f"{MODULES[source]} {VERSIONS[source]} h1:" in sums


def test_parts_of_kubernetes_have_its_minor_and_patch() -> None:
    parts = re.findall(
        r"^replace (\S+) => (\S+) (\S+)$|^\t(\S+) => (\S+) (\S+)$", (ROLE / "files/go/kubernetes/go.mod").read_text(), re.MULTILINE
    )
    versions = {part[2] or part[5] for part in parts}
    assert versions == {VERSIONS["kubernetes"].replace("v1.", "v0.")}


def test_every_program_has_its_module() -> None:
    assert {program["source"] for program in PROGRAMS} == {folder.name for folder in (ROLE / "files/go").iterdir()}
