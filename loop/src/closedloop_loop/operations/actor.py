"""Who carries an operation out, as the journal sees it: a process on this machine, and everything that it starts."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Final, Self

import msgspec

from closedloop_loop.clock import now
from closedloop_loop.names import Name
from closedloop_loop.onset import OPERATOR, Onset, from_map
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.keeper import keep
from closedloop_loop.operations.model import Operation, Refused, Terms
from closedloop_loop.operations.store.memory import MemoryStore
from closedloop_loop.operations.store.open import open_store
from closedloop_loop.policy.decide import Decision
from closedloop_loop.policy.model import Action

BY_HAND: Final = "by-hand"
"""Stands where the name of a control loop does."""


class BadInput(Exception):
    """An onset or order that does not conform; the text names the field."""


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person has decided."""

    action: Action
    target: Name
    region: Name | None = None
    reason: str = "ordered by hand"


def parse_onset(data: object) -> Onset:
    """From the flat map. Raises BadInput."""
    try:
        onset = from_map(data)
    except msgspec.ValidationError as error:
        raise BadInput(f"onset: {error}; hand over what the event source gave") from None
    if onset.status != "ONSET":
        raise BadInput(f"onset: closedLoopEventStatus is {onset.status}; only an ONSET is acted upon")
    return onset


def parse_order(data: object) -> Order:
    """Raises BadInput."""
    try:
        return msgspec.convert(data, Order, strict=True)
    except msgspec.ValidationError as error:
        raise BadInput(f"order: {error}; correct it") from None


class Actor:
    """The process `pid` and the journal at `place`. Methods raise StoreError."""

    def __init__(self, place: str, pid: int, *, dry: bool = False) -> None:
        """dry: nothing is written; answers are as if it were."""
        self.name = identity(pid)
        self._place, self._pid, self._dry = place, pid, dry
        absent = dry and "://" not in place and not Path(place).exists()
        self._store = MemoryStore() if absent else open_store(place)
        self._journal = Journal(self._store, dry=dry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._store.close()

    def claim(self, onset: Onset) -> Operation | Refused:
        """Carry out what the loop has decided about the onset."""
        return self._kept(self._journal.claim(onset.request_id, self.name, now()))

    def order(self, order: Order) -> Operation | Refused:
        """Carry out what a person has decided."""
        moment = now()
        onset = Onset(
            name=BY_HAND,
            request_id=str(uuid.uuid4()),
            status="ONSET",
            alarm_start_us=moment.wall_us,
            target=order.target,
            reason="ordered",
            sender=OPERATOR,
        )
        decision = Decision(action=order.action, target=order.target, region=order.region, reason=order.reason)
        return self._kept(self._journal.order(onset, decision, Terms(), self.name, moment))

    def stage(self, request_id: str, token: int, name: str) -> Operation | Refused:
        """It has come to a stage."""
        return self._journal.stage(request_id, token, name, now())

    def finish(self, request_id: str, token: int, *, succeeded: bool, message: str) -> Operation | Refused:
        """It is done."""
        return self._journal.finish(request_id, token, succeeded, message, now())

    def _kept(self, answer: Operation | Refused) -> Operation | Refused:
        if isinstance(answer, Operation) and not self._dry:
            self._store.close()  # a connection must not live on in the keeper's process
            keep(self._place, answer.request_id, answer.token, self._pid)
        return answer


def identity(pid: int) -> str:
    """Name of a process: host, process id, and when it started, as ids come again."""
    started = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    host = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)[:64]
    return f"playbook:{host}:{pid}:{started}"
