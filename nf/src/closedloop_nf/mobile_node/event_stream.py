"""The event stream: what the mobile node did and when, one JSON object per line, for measurement."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from closedloop_nf.mobile_node.actions import Emit
from closedloop_nf.runtime.addresses import to_text
from closedloop_nf.runtime.config import ConfigError

_ENCODER = msgspec.json.Encoder(enc_hook=lambda value: repr(value))


def line(event: Emit) -> bytes:
    """`{"mono_ns": ..., "wall": ..., "name": ..., fields}` and a newline; addresses as text.

    mono_ns: monotonic clock in nanoseconds, comparable between processes of one machine. wall: UNIX seconds.
    """
    fields = {key: _readable(value) for key, value in event.fields.items()}
    return _ENCODER.encode({"mono_ns": round(event.at.mono * 1e9), "wall": event.at.wall, "name": event.event} | fields) + b"\n"


def _readable(value: object) -> object:
    if isinstance(value, bytes):
        return to_text(value)
    if isinstance(value, list):
        return [_readable(item) for item in value]
    return value


class EventStream:
    """Appends to a file; each line is one write, so that readers and several writers see whole lines."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(
                path, "events", f"cannot be opened for writing ({error.strerror}); name a file in a writable folder"
            ) from None

    def write(self, event: Emit) -> None:
        os.write(self._descriptor, line(event))

    def close(self) -> None:
        os.close(self._descriptor)
