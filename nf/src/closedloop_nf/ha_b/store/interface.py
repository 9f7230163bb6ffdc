"""The contract of a store. Both engines pass the same test suite (tests/daemons/ha_b/test_store_contract.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.records import State

SCHEMA_VERSION: Final = 1


class StoreError(Exception):
    """The store cannot be used; the text says why and what to do. Never holds a key or a password."""


class Store(Protocol):
    """Synchronous; used by one thread at a time, after `load` by the writer's thread only.

    One process at a time has a store open: a second one gets StoreError.
    """

    patience_s: float
    """How long a process may go on after it has lost the store, before it fails; a successor has to reckon with its leases that long."""

    def load(self) -> State:
        """Everything durable."""

    def commit(self, batches: Sequence[Persist]) -> None:
        """Make all changes of the batches durable, in order, in one transaction. When it returns they survive a power cut.

        Raises StoreError when they cannot be; then none of them is.
        """

    def set_lease(self, lease_ms: int) -> None:
        """Remember durably the longest lease that may be granted from now on."""

    def set_clock(self, boot: int, began_us: int) -> None:
        """Remember durably by which clock bindings expire from now on."""

    def check(self) -> None:
        """See that the store is still this process's own; called every second in which nothing is committed. Raises StoreError."""

    def close(self) -> None: ...
