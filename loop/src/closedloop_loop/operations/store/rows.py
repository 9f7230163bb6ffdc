"""An operation as a row: the columns that are searched, and all of it as JSON."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from closedloop_loop.operations.model import Operation
from closedloop_loop.operations.store.interface import StoreError

COLUMNS: Final = ("request_id", "number", "loop", "target", "state", "open", "started_us", "blocks", "token", "document")
Row: TypeAlias = tuple[str, int, str, str, str, bool, int | None, bool, int, str]

_decoder: Final[msgspec.json.Decoder[Operation]] = msgspec.json.Decoder(Operation)


def to_row(operation: Operation) -> Row:
    """Values of COLUMNS."""
    return (
        operation.request_id,
        operation.number,
        operation.loop,
        operation.target,
        operation.state.value,
        operation.open,
        operation.started_us,
        operation.blocks,
        operation.token,
        msgspec.json.encode(operation).decode(),
    )


def to_operation(document: str) -> Operation:
    """Raises StoreError."""
    try:
        return _decoder.decode(document)
    except msgspec.MsgspecError as error:
        raise StoreError(f"an operation in the journal cannot be read ({error}); was it written by another release?") from None
