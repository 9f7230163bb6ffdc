"""Store in memory, for the simulator: what is durable there survives a node's restart, and only what was committed is there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.records import (
    Change,
    DeleteHomeAgent,
    HomeAgentRecord,
    MoveBindings,
    PurgeBindings,
    PutAssociation,
    PutBinding,
    PutHomeAgent,
    State,
)
from closedloop_nf.link.messages import Binding, SecurityAssociation


class MemoryStore:
    patience_s = 0.0

    def __init__(self) -> None:
        self.bindings: dict[bytes, Binding] = {}
        self.home_agents: dict[str, HomeAgentRecord] = {}
        self.associations: dict[tuple[bytes, int], SecurityAssociation] = {}
        self.revision = 0
        self.epoch = 0
        self.lease_ms = 0
        self.boot = self.boot_began_us = 0

    def load(self) -> State:
        return State(
            revision=self.revision,
            epoch=self.epoch,
            lease_ms=self.lease_ms,
            home_agents=[self.home_agents[name] for name in sorted(self.home_agents)],
            bindings=[self.bindings[address] for address in sorted(self.bindings)],
            associations=list(self.associations.values()),
            boot=self.boot,
            boot_began_us=self.boot_began_us,
        )

    def commit(self, batches: Sequence[Persist]) -> None:
        for batch in batches:
            for change in batch.changes:
                self._apply(change)
            self.revision, self.epoch = batch.revision, batch.epoch

    def _apply(self, change: Change) -> None:
        match change:
            case PutBinding():
                self.bindings[change.row.home_address] = change.row
            case MoveBindings():
                for address, row in self.bindings.items():
                    if row.owner == change.previous and row.lifetime_s > 0:
                        self.bindings[address] = msgspec.structs.replace(
                            row, owner=change.owner, epoch=change.epoch, revision=change.revision
                        )
            case PurgeBindings():
                for address in change.home_addresses:
                    self.bindings.pop(address, None)
            case PutHomeAgent():
                self.home_agents[change.record.name] = change.record
            case DeleteHomeAgent():
                self.home_agents.pop(change.name, None)
            case PutAssociation():
                key = (change.row.home_address, change.row.spi)
                if change.row.removed:
                    self.associations.pop(key, None)
                else:
                    self.associations[key] = change.row

    def set_lease(self, lease_ms: int) -> None:
        self.lease_ms = lease_ms

    def set_clock(self, boot: int, began_us: int) -> None:
        self.boot, self.boot_began_us = boot, began_us

    def check(self) -> None:
        """Nobody else can have it."""

    def close(self) -> None:
        """It stays."""
