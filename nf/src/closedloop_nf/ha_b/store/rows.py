"""Rows of the tables and back. Both engines have the same tables and column order.

64-bit values without sign (RFC 4285 timestamps) are stored as the signed number with the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.records import Change, HomeAgentRecord, PutAssociation, PutBinding, PutHomeAgent
from closedloop_nf.link.messages import Binding, SecurityAssociation

BINDING_COLUMNS: Final = (
    "home_address",
    "care_of_address",
    "sequence",
    "lifetime_s",
    "expires_at",
    "flags",
    "owner",
    "epoch",
    "timestamp",
    "revision",
)
HOME_AGENT_COLUMNS: Final = HomeAgentRecord.__struct_fields__

Row = tuple[Any, ...]


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def unsigned(value: int) -> int:
    return value + (1 << 64) if value < 0 else value


def binding_row(row: Binding) -> Row:
    return (
        row.home_address,
        row.care_of_address,
        row.sequence,
        row.lifetime_s,
        row.expires_at,
        row.flags,
        row.owner,
        row.epoch,
        signed(row.timestamp),
        row.revision,
    )


def to_binding(row: Sequence[Any]) -> Binding:
    return Binding(bytes(row[0]), bytes(row[1]), row[2], row[3], row[4], row[5], row[6], row[7], unsigned(row[8]), row[9])


def home_agent_row(record: HomeAgentRecord) -> Row:
    return tuple(getattr(record, column) for column in HOME_AGENT_COLUMNS)


def to_home_agent(row: Sequence[Any]) -> HomeAgentRecord:
    values = dict(zip(HOME_AGENT_COLUMNS, row, strict=True))
    for column in ("address", "home_link_address"):
        values[column] = bytes(values[column])
    for column in ("serving", "draining"):
        values[column] = bool(values[column])
    return HomeAgentRecord(**values)


def to_association(row: Sequence[Any]) -> SecurityAssociation:
    return SecurityAssociation(bytes(row[0]), row[1], bytes(row[2]))


def runs(batches: Iterable[Persist]) -> list[list[Change]]:
    """Changes in order, consecutive ones of the same type together, so that each run is one statement."""
    result: list[list[Change]] = []
    for batch in batches:
        for change in batch.changes:
            if result and type(result[-1][0]) is type(change):
                result[-1].append(change)
            else:
                result.append([change])
    return result


def latest_bindings(run: Sequence[Change]) -> list[Row]:
    """Rows of a run of PutBinding, the last one per home address."""
    latest = {change.row.home_address: change.row for change in run if isinstance(change, PutBinding)}
    return [binding_row(row) for row in latest.values()]


def latest_home_agents(run: Sequence[Change]) -> list[Row]:
    """Rows of a run of PutHomeAgent, the last one per name."""
    latest = {change.record.name: change.record for change in run if isinstance(change, PutHomeAgent)}
    return [home_agent_row(record) for record in latest.values()]


def split_associations(run: Sequence[Change]) -> tuple[list[Row], list[Row]]:
    """Of a run of PutAssociation: rows to write, keys to delete; the last one per home address and SPI counts."""
    latest = {(c.row.home_address, c.row.spi): c.row for c in run if isinstance(c, PutAssociation)}
    put = [(row.home_address, row.spi, row.key) for row in latest.values() if not row.removed]
    gone = [(row.home_address, row.spi) for row in latest.values() if row.removed]
    return put, gone
