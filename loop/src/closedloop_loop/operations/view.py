"""What a command of the journal's state machine is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from closedloop_loop.operations.model import Operation, Refused


class View(Protocol):
    """The journal as a transaction sees it."""

    def get(self, request_id: str) -> Operation | None: ...

    def open(self) -> Sequence[Operation]:
        """Operations not at their end, by number."""

    def history(self, loop: str, since_us: int) -> Sequence[Operation]:
        """Operations of a loop that started after `since_us`, or that block."""

    def last_number(self) -> int:
        """The highest `number` given, 0 at first."""

    def last_token(self) -> int:
        """The highest fencing token given, 0 at first."""


class Step(msgspec.Struct, frozen=True):
    """Answer and what to write."""

    answer: Operation | Refused
    put: tuple[Operation, ...] = ()
