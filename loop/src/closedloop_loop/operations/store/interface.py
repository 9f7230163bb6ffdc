"""The contract of a store. All engines pass the same tests (tests/daemons/loop/test_operations_store.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar

from closedloop_loop.errors import CommandError
from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.view import View

SCHEMA_VERSION: Final = 1

T = TypeVar("T")
Work: TypeAlias = Callable[[View], tuple[T, Sequence[Operation]]]
"""Of a view: the answer, and the operations to write."""


class StoreError(CommandError):
    """The store cannot be used; the text says why and what to do. Never holds a password."""


class Store(Protocol):
    """Used by one thread at a time, and by any number of processes."""

    def transact(self, work: Work[T]) -> T:
        """Run `work` on a view that nobody else changes meanwhile, write what it returns, and answer once that is durable.

        `work` may be run again after a lost connection. Raises StoreError; then nothing was written, or it cannot be known.
        """

    def get(self, request_id: str) -> Operation | None:
        """One operation."""

    def open(self) -> Sequence[Operation]:
        """Operations not at their end, by number."""

    def recent(self, limit: int, state: State | None = None, target: str | None = None) -> list[Operation]:
        """The latest operations, the newest first."""

    def close(self) -> None: ...
