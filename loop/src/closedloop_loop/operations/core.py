"""The journal's state machine: functions of a view of the journal, a command and the time, to what is to be written and the answer.

Every command may be repeated, as its sender may not know whether it was carried out: the second time nothing changes and the answer is the
same. A store runs each inside one transaction that no other overlaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from closedloop_loop.clock import MICROSECONDS
from closedloop_loop.names import is_name
from closedloop_loop.onset import Onset
from closedloop_loop.operations.model import ACTOR_LOST, NEXT, TIMED_OUT, Operation, Refused, Stage, State, Terms
from closedloop_loop.operations.schedule import before, claimable, decides_again, together, turn
from closedloop_loop.operations.view import Step, View
from closedloop_loop.policy.decide import Decision, decide
from closedloop_loop.policy.guards import Denied
from closedloop_loop.policy.inventory import Inventory, Module, Unreadable
from closedloop_loop.policy.model import Loop, Policy

MAX_RESUMPTIONS: Final = 8
"""An operation that has lost so many actors kills them: it fails."""
MAX_STAGES: Final = 256
MAX_MESSAGE: Final = 500
GRACE_S: Final = 1.5
"""How long an operation is left alone whose actor's time ended by the clock: longer than a keeper that lives on needs to see it."""
BAD_ACTOR: Final = "actor: expected 1 to 128 letters, digits or inner '.', '_', ':', '-'"
RECHECK_S: Final = 1.0
"""How soon an inventory that could not be read is read again."""


def moved(operation: Operation, state: State, at_us: int, stage: str, **changes: Any) -> Operation:
    """The operation in another state, with the time noted."""
    assert state in NEXT[operation.state], f"{operation.state} -> {state} is not in the table"
    attempt = changes.get("attempt", operation.attempt)
    stages = [*operation.stages, Stage(stage, attempt, at_us)][-MAX_STAGES:]
    return msgspec.structs.replace(operation, state=state, stages=stages, **changes)


# --- from onset to decision ------------------------------------------------------------------------------------------


def submit(
    view: View, policy: Policy, onset: Onset, inventory: Inventory | Unreadable | None, now_us: int, accepted_us: int | None = None
) -> Step:
    """An onset (or its end) has arrived. A new one is decided. One that was denied, that waits for its next attempt, or that was decided
    before the one that came first had ended, is decided again when that is due; any other stays as it is. No guard denies a further
    attempt: what is half done is done to its end.

    inventory: as for `decide`; room that open operations are about to take is taken into account. With one that cannot be read the decision
    waits. accepted_us: when the event behind it was durable, the first stage of a new operation.
    """
    if onset.status == "ABATED":
        return abate(view, onset, now_us)
    known = view.get(onset.request_id)
    if known is not None and not decides_again(known, now_us):
        return Step(known)
    loop = policy.loop(onset.name)
    if loop is None:
        reason = f"policy has no loop {onset.name!r}; give the policy that analytics runs"
        if known is None:
            return Step(Refused(reason))
        gone = moved(known, State.CANCELLED, now_us, "cancelled", finished_us=now_us, due_us=None, outdated=False, message=reason)
        return Step(gone, (gone,))
    tried = [] if known is None else known.tried
    others = [other for other in view.open() if other.request_id != onset.request_id]
    since_us = now_us - max((round(rule.within_s * MICROSECONDS) for rule in loop.guards.frequency), default=0)
    history = [past for past in view.history(loop.name, since_us) if past.request_id != onset.request_id]
    about_to_start = [other for other in others if other.loop == loop.name and other.state is State.PENDING and other.started_us is None]
    if known is not None and known.outdated:  # of those that wait, only what comes before it counts
        about_to_start = [other for other in about_to_start if turn(other) < turn(known)]
        others = [other for other in others if other.state is State.RUNNING or other.attempt or turn(other) < turn(known)]
    history += [msgspec.structs.replace(other, started_us=now_us) for other in about_to_start]
    if isinstance(inventory, Unreadable):
        verdict: Decision | Denied = Denied(
            guard="inventory", reason=printable(inventory.problem), until_us=now_us + round(RECHECK_S * MICROSECONDS)
        )
    else:
        begun = known is not None and known.attempt > 0
        verdict = decide(policy, onset, None if inventory is None else reserved(inventory, others), history, now_us, tried, begun=begun)
    if known is None:
        known = _new(view, onset, _terms(loop), now_us, accepted_us)
    if isinstance(inventory, Inventory) and inventory.module(onset.target) is not None:
        known = msgspec.structs.replace(known, group=inventory.group_of(onset.target))
    if isinstance(verdict, Denied) and known.abated_us is not None:
        over: dict[str, Any] = {"reason": verdict.reason, "guard": verdict.guard, "finished_us": now_us, "due_us": None}
        settled = moved(known, State.CANCELLED, now_us, "cancelled", **over)
    else:
        settled = _settled(known, loop, verdict, now_us)
    return Step(settled, (settled,))


def _settled(known: Operation, loop: Loop, verdict: Decision | Denied, now_us: int) -> Operation:
    """As decided."""
    over: dict[str, Any] = {"reason": verdict.reason, "outdated": False}
    if isinstance(verdict, Denied):
        over |= {"action": loop.action, "guard": verdict.guard, "due_us": verdict.until_us}
        return moved(known, State.DENIED, now_us, "denied", **over)
    over |= {"action": verdict.action, "guard": None, "due_us": None}
    over["region"] = known.region if verdict.region is None else verdict.region
    if known.outdated:
        return msgspec.structs.replace(known, **over)
    return moved(known, State.PENDING, now_us, "decided", **over)


def abate(view: View, onset: Onset, now_us: int) -> Step:
    """What the onset told of has ended. What has not begun is cancelled. What has is carried to its end, by further attempts too: it
    may be the operation itself that ended it, with half of its work done."""
    known = view.get(onset.request_id)
    if known is None:  # its ONSET may still come, late: it must find that all is over
        known = _new(view, onset, Terms(), now_us)
    elif known.abated_us is not None:
        return Step(known)
    ended = onset.alarm_end_us if onset.alarm_end_us is not None else now_us
    if known.state is State.DENIED or (known.state in (State.PENDING, State.RETRYING) and known.untouched):
        over: dict[str, Any] = {"abated_us": ended, "finished_us": now_us, "due_us": None, "outdated": False}
        settled = moved(known, State.CANCELLED, now_us, "cancelled", **over)
    else:
        settled = msgspec.structs.replace(
            known, abated_us=ended, stages=[*known.stages, Stage("abated", known.attempt, now_us)][-MAX_STAGES:]
        )
    return Step(settled, (settled,))


def reserved(inventory: Inventory, others: Sequence[Operation]) -> Inventory:
    """The inventory with a module for each open operation that is about to make one, where it is not there already."""
    there = Counter((module.region, module.group) for module in inventory.modules if module.state == "deploying")
    extra = []
    for other in others:
        if other.region is None or other.state is State.DENIED:
            continue
        place = other.region, other.group
        if there[place] > 0:
            there[place] -= 1
        else:
            extra.append(Module(name=f"op-{other.request_id}", region=place[0], state="deploying", group=place[1]))
    return msgspec.structs.replace(inventory, modules=[*inventory.modules, *extra])


def _terms(loop: Loop) -> Terms:
    return Terms(
        timeout_s=loop.timeout_s, retries=loop.retries, retry_delay_s=loop.retry_delay_s, block_on_failure=loop.on_failure == "block"
    )


def _new(view: View, onset: Onset, terms: Terms, now_us: int, accepted_us: int | None = None) -> Operation:
    """Not written yet; DENIED until something is decided."""
    return Operation(
        request_id=onset.request_id,
        number=view.last_number() + 1,
        onset=onset,
        state=State.DENIED,
        terms=terms,
        created_us=now_us,
        due_us=now_us,
        stages=[*([Stage("event_accepted", 0, accepted_us)] if accepted_us is not None else []), Stage("accepted", 0, now_us)],
    )


# --- the actor -------------------------------------------------------------------------------------------------------


def claim(view: View, request_id: str, actor: str, lease_us: int, now_us: int) -> Step:
    """`actor` carries the operation out from now on, with a fencing token of its own, if nobody else does and nothing before it in the same
    group is open. The answer's `stages` tell how far an actor that was lost had come."""
    if not is_name(actor):
        return Step(Refused(BAD_ACTOR))
    known = view.get(request_id)
    if known is None:
        return Step(Refused("no operation has this request id; submit its onset first"))
    known = _swept(known, now_us)
    if known.state is State.RUNNING:
        if known.actor == actor:
            return Step(known)
        return Step(Refused(f"{known.actor} carries it out with token {known.token}; its lease has not ended", known))
    if known.state is not State.PENDING:
        return Step(Refused(f"it is {known.state}; only a pending operation can be claimed", known), (known,))
    if known.outdated:
        return Step(Refused("the one before it has ended since it was decided; submit its onset again", known))
    if not claimable(known, now_us):
        return Step(Refused(f"{known.actor} was lost to sight; it is given time to notice", known), (known,))
    first = before(view.open(), known)
    if first is not None:
        return Step(Refused(f"operation {first.request_id} on {first.target} comes first; it is {first.state}", first))
    claimed = _begun(view, known, actor, lease_us, now_us)
    return Step(claimed, (claimed,))


def order(view: View, onset: Onset, decision: Decision, terms: Terms, actor: str, lease_us: int, now_us: int) -> Step:
    """Someone with a name has decided by hand, and carries it out at once: no guard is asked, and only what runs comes first. Where an
    operation waits to do the same to the same target, it is this one that is carried out."""
    if not is_name(actor):
        return Step(Refused(BAD_ACTOR))
    known = view.get(onset.request_id)
    if known is not None:
        return Step(known if known.state is State.RUNNING and known.actor == actor else Refused(f"it is {known.state}", known))
    fresh = _new(view, onset, terms, now_us)
    there = [_swept(other, now_us) for other in view.open()]
    held = (other for other in there if other.state is State.RUNNING or (other.half_done and not claimable(other, now_us)))
    running = next((other for other in held if together(other, fresh)), None)
    if running is not None:
        return Step(Refused(f"{running.actor} carries out operation {running.request_id}, {running.action} of {running.target}", running))
    same = (other for other in there if other.open and other.target == onset.target and other.action == decision.action)
    waiting = next(same, fresh)
    if waiting.state is not State.PENDING:
        waiting = moved(waiting, State.PENDING, now_us, "ordered", guard=None, due_us=None)
    waiting = msgspec.structs.replace(waiting, outdated=False)
    region = decision.region if decision.region is not None else waiting.region
    ordered = msgspec.structs.replace(waiting, action=decision.action, region=region, reason=printable(decision.reason))
    begun = _begun(view, ordered, actor, lease_us, now_us)
    return Step(begun, (begun,))


def _begun(view: View, known: Operation, actor: str, lease_us: int, now_us: int) -> Operation:
    resumed = known.half_done
    return moved(
        known,
        State.RUNNING,
        now_us,
        "resumed" if resumed else "started",
        attempt=known.attempt if resumed else known.attempt + 1,
        actor=actor,
        token=view.last_token() + 1,
        due_us=None,
        started_us=now_us if known.started_us is None else known.started_us,
        lease_until_us=now_us + lease_us,
        deadline_us=now_us + round(known.terms.timeout_s * MICROSECONDS),
    )


def lost(view: View, request_id: str, token: int, now_us: int) -> Step:
    """Who watches the actor has seen it end: its lease ends with it."""
    known = _held(view, request_id, token)
    if isinstance(known, Refused):
        return Step(known)
    left = _lost(known, now_us)
    return Step(left, (left, *_followers(view, left, now_us)))


def renew(view: View, request_id: str, token: int, lease_us: int, now_us: int) -> Step:
    """The actor is alive."""
    known = _held(view, request_id, token)
    if isinstance(known, Refused):
        return Step(known)
    renewed = msgspec.structs.replace(known, lease_until_us=now_us + lease_us)
    return Step(renewed, (renewed,))


def stage(view: View, request_id: str, token: int, name: str, lease_us: int, now_us: int) -> Step:
    """The actor has come to a stage. The first time counts."""
    if not is_name(name):
        return Step(Refused("stage: expected 1 to 128 letters, digits or inner '.', '_', ':', '-'"))
    known = _held(view, request_id, token)
    if isinstance(known, Refused):
        return Step(known)
    stages = known.stages
    if not any(passed.name == name and passed.attempt == known.attempt for passed in stages):
        stages = [*stages, Stage(name, known.attempt, now_us)][-MAX_STAGES:]
    staged = msgspec.structs.replace(known, stages=stages, lease_until_us=now_us + lease_us)
    return Step(staged, (staged,))


def finish(view: View, request_id: str, token: int, succeeded: bool, message: str, now_us: int) -> Step:
    """The actor is done."""
    known = view.get(request_id)
    if known is not None and known.token == token and _told_already(known, succeeded):
        return Step(known)
    held = _held(view, request_id, token)
    if isinstance(held, Refused):
        return Step(held)
    text = printable(message)
    if succeeded:
        done = moved(held, State.SUCCEEDED, now_us, "succeeded", finished_us=now_us, message=text, lease_until_us=None, deadline_us=None)
    else:
        done = _failed(held, text, now_us)
    return Step(done, (done, *_followers(view, done, now_us)))


def _followers(view: View, ended: Operation, now_us: int) -> Iterator[Operation]:
    """Those that wait and are others now that it has ended: superseded, or decided on a world that is not the same any more."""
    if ended.open:
        return
    for other in view.open():
        if other.state is State.RUNNING or not (other.untouched or other.action == "scale_in"):
            continue
        if ended.state is State.SUCCEEDED and _same(other, ended):
            yield _superseded(other, ended, now_us)
        elif other.untouched and other.state is State.PENDING and not other.outdated and together(other, ended):
            yield msgspec.structs.replace(other, outdated=True)


def _same(other: Operation, done: Operation) -> bool:
    """Whether it waits to do to the target what has been done: two loops (fault and heartbeat_lost, say) had noticed the same trouble. A
    failover leaves nothing to scale in, also where that had begun: a module of the same name is another one."""
    if other.target != done.target or other.request_id == done.request_id:
        return False
    return (other.action == done.action and other.untouched) or (other.action == "scale_in" and done.action == "failover")


def _superseded(other: Operation, done: Operation, now_us: int) -> Operation:
    message = f"operation {done.request_id} has done it"
    return moved(other, State.CANCELLED, now_us, "superseded", finished_us=now_us, due_us=None, outdated=False, message=message)


def acknowledge(view: View, request_id: str, now_us: int) -> Step:
    """An operator has seen to a failure: the loop may act on the target again."""
    known = view.get(request_id)
    if known is None:
        return Step(Refused("no operation has this request id"))
    if known.state is not State.FAILED:
        return Step(Refused(f"it is {known.state}; only a failed operation is acknowledged"))
    if known.acknowledged:
        return Step(known)
    seen = msgspec.structs.replace(
        known, acknowledged=True, stages=[*known.stages, Stage("acknowledged", known.attempt, now_us)][-MAX_STAGES:]
    )
    return Step(seen, (seen,))


def cancel(view: View, request_id: str, now_us: int) -> Step:
    """An operator does not want it done. What runs is not stopped by this."""
    known = view.get(request_id)
    if known is None:
        return Step(Refused("no operation has this request id"))
    if known.state is State.CANCELLED:
        return Step(known)
    if State.CANCELLED not in NEXT[known.state]:
        return Step(Refused(f"it is {known.state}; only one that waits can be cancelled"))
    over: dict[str, Any] = {"due_us": None, "outdated": False, "message": "cancelled by an operator"}
    cancelled = moved(known, State.CANCELLED, now_us, "cancelled", finished_us=now_us, **over)
    return Step(cancelled, (cancelled,))


# --- time ------------------------------------------------------------------------------------------------------------


def sweep(view: View, now_us: int) -> tuple[Operation, ...]:
    """What has lost its actor or run out of time; to be written."""
    swept = ((known, _swept(known, now_us)) for known in view.open())
    ended = [after for before, after in swept if after is not before]
    return (*ended, *(follower for operation in ended for follower in _followers(view, operation, now_us)))


def _swept(known: Operation, now_us: int) -> Operation:
    if known.state is not State.RUNNING:
        return known
    if known.deadline_us is not None and known.deadline_us <= now_us:
        return _failed(known, f"{TIMED_OUT} {known.terms.timeout_s:g} s", now_us, grace_s=GRACE_S)
    if known.lease_until_us is None or known.lease_until_us > now_us:
        return known
    return _lost(known, now_us, due_us=now_us + round(GRACE_S * MICROSECONDS))


def _lost(known: Operation, now_us: int, due_us: int | None = None) -> Operation:
    if known.resumptions >= MAX_RESUMPTIONS:
        return _failed(known, f"{ACTOR_LOST}, the {known.resumptions + 1}th over it", now_us, last=True)
    over: dict[str, Any] = {"lease_until_us": None, "deadline_us": None, "message": ACTOR_LOST}
    return moved(known, State.PENDING, now_us, "lost", resumptions=known.resumptions + 1, due_us=due_us, **over)


def _failed(known: Operation, message: str, now_us: int, last: bool = False, grace_s: float = 0.0) -> Operation:
    tried = known.tried if known.region is None or known.region in known.tried else [*known.tried, known.region]
    over: dict[str, Any] = {"message": message, "tried": tried, "lease_until_us": None, "deadline_us": None}
    if last or known.attempt > known.terms.retries:
        return moved(known, State.FAILED, now_us, "failed", finished_us=now_us, **over)
    pause_s = max(known.terms.retry_delay_s, grace_s)
    return moved(known, State.RETRYING, now_us, "attempt_failed", due_us=now_us + round(pause_s * MICROSECONDS), **over)


def _held(view: View, request_id: str, token: int) -> Operation | Refused:
    known = view.get(request_id)
    if known is None:
        return Refused("no operation has this request id")
    if known.token != token:
        return Refused(f"token {token} is not the operation's; another actor has taken over, stop", known)
    if known.state is not State.RUNNING:
        return Refused(f"it is {known.state}; stop", known)
    return known


def _told_already(known: Operation, succeeded: bool) -> bool:
    return known.state is State.SUCCEEDED if succeeded else known.state in (State.FAILED, State.RETRYING)


def printable(text: str) -> str:
    """Bounded, without control characters and what else a terminal acts upon."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_MESSAGE])
