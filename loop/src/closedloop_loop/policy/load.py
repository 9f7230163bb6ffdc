"""Policy and inventory files, and the policy's JSON schema."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec

from closedloop_loop import files
from closedloop_loop.policy.inventory import Inventory
from closedloop_loop.policy.model import Policy


def load_policy(path: str | Path) -> Policy:
    """Raises closedloop_loop.files.FileError, which names file and field."""
    return files.load(path, Policy)


def load_inventory(path: str | Path) -> Inventory:
    """Raises closedloop_loop.files.FileError, which names file and field."""
    return _inventory(files.read(path), str(path))


@functools.lru_cache(maxsize=1)
def _inventory(text: str, path: str) -> Inventory:
    """It is wanted for each decision and seldom another; to parse one of a thousand modules takes a tenth of a second."""
    return files.parse(text, Inventory, path)


def schema() -> dict[str, Any]:
    """JSON schema of a policy file."""
    return msgspec.json.schema(Policy)
