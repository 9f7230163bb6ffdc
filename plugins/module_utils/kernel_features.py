# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What kernels of a host can do of Mobile IPv6: what the module closedloop.mobility.kernel_features does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_proof, kernel_symbols
from ansible_collections.closedloop.mobility.plugins.module_utils.kernel_symbols import Symbol
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "symbols": kernel_symbols.SYMBOLS_SPEC,
    "proof": {"type": "bool", "default": False},
    "boot_directory": {"type": "path", "default": "/boot"},
}

OWN_CONFIG = Path("/proc/config.gz")
MODULES = Path("/lib/modules")


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Never a change. Raises MobilityError where the running kernel does not tell its configuration."""
    wanted = kernel_symbols.symbols(params["symbols"])
    boot = Path(params["boot_directory"])
    release = os.uname().release
    values = {
        "running": _described(release, _own_config(release, boot), wanted),
        "installed": [_described(name, boot / f"config-{name}", wanted) for name in _installed(boot)],
    }
    if params["proof"] and not check_mode:
        values["proof"] = kernel_proof.proofs()
    return Outcome(values=values)


def _installed(boot: Path) -> list[str]:
    return sorted((file.name.removeprefix("config-") for file in boot.glob("config-[0-9]*")), key=kernel_symbols.age)


def _own_config(release: str, boot: Path) -> Path:
    candidates = (OWN_CONFIG, boot / f"config-{release}", MODULES / release / "config")
    for file in candidates:
        if file.exists():
            return file
    raise MobilityError(
        f"the running kernel {release} does not tell its configuration: there is none of {', '.join(str(file) for file in candidates)}; "
        "load its module configs (modprobe configs), or put its configuration there"
    )


def _described(release: str, file: Path, wanted: Sequence[Symbol]) -> dict[str, Any]:
    lacking = kernel_symbols.missing(kernel_symbols.read(file), wanted, release)
    return {
        "release": release,
        "config": str(file),
        "complete": not lacking,
        "missing": lacking,
        "not_needed": kernel_symbols.not_needed(wanted, release),
    }
