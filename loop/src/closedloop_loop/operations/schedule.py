"""What comes when: functions of the open operations, for the journal's own commands and for whoever hands operations on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from closedloop_loop.operations.model import Operation, State


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


def overdue(opened: Iterable[Operation], now_us: int) -> bool:
    """Whether a sweep would find an actor that is lost or too slow."""
    limits = (limit for known in opened if known.state is State.RUNNING for limit in (known.lease_until_us, known.deadline_us))
    return any(limit is not None and limit <= now_us for limit in limits)


def deadline(opened: Iterable[Operation]) -> int | None:
    """When time alone may change something, UNIX microseconds."""
    times = [time for known in opened for time in (known.due_us, known.lease_until_us, known.deadline_us) if time is not None]
    return min(times, default=None)
