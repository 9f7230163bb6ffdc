"""What comes when: functions of the open operations, for the journal's own commands and for whoever hands operations on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from closedloop_loop.clock import MICROSECONDS
from closedloop_loop.operations.model import Operation, State

SKEW_S: Final = 5.0
"""What was written so long from now, or longer, was written by a clock that has been set back since. Those of machines that share a journal
differ by less."""


def set_back(operation: Operation, now_us: int) -> bool:
    """Whether the clock has been set back since it was written: what is to come would come late, by an hour too."""
    return operation.written_us > now_us + round(SKEW_S * MICROSECONDS)


def as_of_now(operation: Operation, now_us: int) -> Operation:
    """What is to come, as far away as it was when it was written, where the clock has been set back since."""
    if not operation.open or not set_back(operation, now_us):
        return operation
    times = {name: getattr(operation, name) for name in ("due_us", "lease_until_us", "deadline_us")}
    back_us = operation.written_us - now_us
    return msgspec.structs.replace(operation, **{name: None if time is None else time - back_us for name, time in times.items()})


def together(one: Operation, other: Operation) -> bool:
    """Whether they must not run at the same time. Two of one group could plan the same successor, or leave the group too small."""
    return one.request_id != other.request_id and (one.group == other.group or one.target == other.target)


def turn(operation: Operation) -> tuple[bool, int]:
    """The order of those that wait: what heals comes before what scales, else who came first. A scale-in may wait in vain for a home agent
    that only a failover brings back."""
    return operation.action != "failover", operation.number


def before(opened: Iterable[Operation], operation: Operation) -> Operation | None:
    """The open operation that must end first."""
    for other in opened:
        if not together(other, operation):
            continue
        if other.state is State.RUNNING or (other.state in (State.PENDING, State.RETRYING) and turn(other) < turn(operation)):
            return other
    return None


def claimable(operation: Operation, now_us: int) -> bool:
    """Whether a PENDING operation may be claimed, if nothing comes before it: not before it is decided again where that is due, nor while a
    lost actor is given time to notice."""
    return not operation.outdated and (operation.due_us is None or operation.due_us <= now_us)


def takes_up(operation: Operation, now_us: int) -> bool:
    """Whether it is to be carried out, if nothing comes before it."""
    return operation.state is State.PENDING and claimable(operation, now_us)


def decides_again(operation: Operation, now_us: int) -> bool:
    """Whether its onset is to be submitted again; for one that is outdated it is early enough when it is its turn."""
    waits = operation.state in (State.DENIED, State.RETRYING) and operation.due_us is not None and operation.due_us <= now_us
    return waits or operation.outdated


def due(opened: Sequence[Operation], now_us: int) -> list[Operation]:
    """What somebody should take up now: ones that may be claimed, and ones to submit again, in the order of their turns."""
    running = [known for known in opened if known.state is State.RUNNING]
    groups, targets = {known.group for known in running}, {known.target for known in running}
    found = []
    for known in sorted(opened, key=turn):
        free = known.group not in groups and known.target not in targets
        if (free or known.state is not State.PENDING) and (takes_up(known, now_us) or decides_again(known, now_us)):
            found.append(known)
        if known.state in (State.PENDING, State.RETRYING):
            groups.add(known.group)
            targets.add(known.target)
    return found


def overdue(opened: Sequence[Operation], now_us: int) -> bool:
    """Whether a sweep would find an actor that is lost or too slow, or times of a clock that has been set back."""
    running = [known for known in opened if known.state is State.RUNNING]
    limits = (limit for known in running for limit in (known.lease_until_us, known.deadline_us))
    return any(limit is not None and limit <= now_us for limit in limits) or any(set_back(known, now_us) for known in opened)


def deadline(opened: Iterable[Operation]) -> int | None:
    """When time alone may change something, UNIX microseconds."""
    times = [time for known in opened for time in (known.due_us, known.lease_until_us, known.deadline_us) if time is not None]
    return min(times, default=None)
