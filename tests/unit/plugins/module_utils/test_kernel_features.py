"""What is told of a host's kernels, from the configurations in its boot directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_features
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

COMPLETE = "CONFIG_IPV6_MIP6=y\nCONFIG_XFRM_USER=m\n"
PARAMS = {"symbols": [{"name": "IPV6_MIP6"}, {"name": "XFRM_USER"}], "proof": False}


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A boot directory; the running kernel has its configuration nowhere else."""
    monkeypatch.setattr(kernel_features, "OWN_CONFIG", tmp_path / "none")
    return tmp_path


def test_each_installed_kernel_is_told_with_what_it_lacks(boot: Path) -> None:
    own = os.uname().release
    (boot / f"config-{own}").write_text("CONFIG_XFRM_USER=y\n")
    (boot / "config-0.1-complete").write_text(COMPLETE)
    (boot / "vmlinuz-0.1-complete").write_text("")
    outcome = kernel_features.run(PARAMS | {"boot_directory": str(boot)}, check_mode=False)
    assert not outcome.changed
    assert outcome.values["running"]["missing"] == ["IPV6_MIP6"]
    assert {kernel["release"]: kernel["complete"] for kernel in outcome.values["installed"]} == {"0.1-complete": True, own: False}


def test_the_latest_release_comes_last(boot: Path) -> None:
    for release in (os.uname().release, "6.1.0-18-amd64", "6.1.0-9-amd64", "6.12.48-amd64"):
        (boot / f"config-{release}").write_text(COMPLETE)
    outcome = kernel_features.run(PARAMS | {"boot_directory": str(boot)}, check_mode=False)
    releases = [kernel["release"] for kernel in outcome.values["installed"] if kernel["release"] != os.uname().release]
    assert releases == ["6.1.0-9-amd64", "6.1.0-18-amd64", "6.12.48-amd64"]


def test_a_kernel_that_does_not_tell_its_configuration_is_an_error_with_a_remedy(boot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_features, "MODULES", boot / "modules")
    with pytest.raises(MobilityError, match=r"does not tell its configuration.*modprobe configs"):
        kernel_features.run(PARAMS | {"boot_directory": str(boot)}, check_mode=False)
