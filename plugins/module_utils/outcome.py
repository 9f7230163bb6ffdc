# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What one call of a module did: the result every module of the collection returns, and the one exception it raises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class MobilityError(Exception):
    """Something an operator can act on. The message names the object, what was found and the remedy; it never holds a secret."""


@dataclass
class Outcome:
    """Result of one call.

    `before` and `after` are plain data, the managed state only; `changed` is their difference, or `extra_change` (a restart leaves
    the same state). `values` are the module's return values.
    """

    before: Any = None
    after: Any = None
    values: dict[str, Any] = field(default_factory=dict)
    extra_change: bool = False

    @property
    def changed(self) -> bool:
        return self.extra_change or self.before != self.after

    def result(self, *, diff: bool) -> dict[str, Any]:
        """As exit_json takes it; the diff only when asked for and when there is one."""
        result: dict[str, Any] = {"changed": self.changed, **self.values}
        if diff and self.before != self.after:
            result["diff"] = {"before": self.before, "after": self.after}
        return result
