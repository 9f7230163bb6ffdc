"""closedloop.mobility.kernel_features on the kernel at hand: the packets agree with the symbols that its configuration tells."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_features, kernel_proof
from ansible_collections.closedloop.mobility.plugins.module_utils.kernel_symbols import read

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = yaml.safe_load((ROOT / "roles/mipv6_kernel/vars/main.yml").read_text())["__mipv6_kernel_symbols"]
NEEDS = {
    "mobility_header": set(),
    "home_address_option": {"XFRM_USER", "IPV6_MIP6"},
    "type_2_routing_header": {"XFRM_USER", "IPV6_MIP6"},
    "ipv6_in_ipv6": {"IPV6_TUNNEL"},
    "xfrm_sub_policy": {"XFRM_USER", "XFRM_SUB_POLICY"},
}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    params = {"symbols": SYMBOLS, "proof": True, "boot_directory": "/boot"}
    outcome = kernel_features.run(params, check_mode=False)
    assert not outcome.changed
    return outcome.values


@pytest.mark.parametrize("feature", kernel_proof.PROOFS)
def test_packets_prove_what_the_configuration_says(told: dict[str, Any], feature: str) -> None:
    symbols = read(Path(told["running"]["config"]))
    proof = told["proof"][feature]
    assert proof["works"] == (set(symbols) >= NEEDS[feature]), proof
    assert proof["detail"]


def test_the_running_kernel_is_told_with_what_it_lacks(told: dict[str, Any]) -> None:
    assert told["running"]["release"] == os.uname().release
    assert told["running"]["complete"] == (not told["running"]["missing"])


def test_a_proof_leaves_no_descriptor_and_no_namespace_behind() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    own = Path("/proc/thread-self/ns/net").stat().st_ino
    kernel_proof.proofs()
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert Path("/proc/thread-self/ns/net").stat().st_ino == own


def test_check_mode_sends_nothing() -> None:
    params = {"symbols": SYMBOLS, "proof": True, "boot_directory": "/boot"}
    assert "proof" not in kernel_features.run(params, check_mode=True).values
