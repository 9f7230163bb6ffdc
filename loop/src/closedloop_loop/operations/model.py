"""An operation: one execution of an action for one onset."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from closedloop_loop.onset import Onset


class State(StrEnum):
    """
        (new) --decided--> PENDING --claimed--> RUNNING --succeeded--> SUCCEEDED
          |                 ^  ^ ^                |  |
          |                 |  | +---actor lost---+  +--failed--> RETRYING, or FAILED when no attempt is left
          +--denied--> DENIED--+   (decided again, later)            |
                            +----------------------------------------+
    PENDING, DENIED and RETRYING become CANCELLED when the onset is abated before the first attempt. A PENDING one is decided again when
    the operation that came before it has ended, and may be DENIED then.
    """

    PENDING = "pending"
    DENIED = "denied"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN: Final = frozenset({State.PENDING, State.DENIED, State.RUNNING, State.RETRYING})
NEXT: Final[dict[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.RUNNING, State.DENIED, State.CANCELLED}),
    State.DENIED: frozenset({State.PENDING, State.DENIED, State.CANCELLED}),
    State.RUNNING: frozenset({State.PENDING, State.RETRYING, State.SUCCEEDED, State.FAILED}),
    State.RETRYING: frozenset({State.PENDING, State.DENIED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""The diagram as a table; `moved` goes by it."""


ACTOR_LOST: Final = "actor lost"
TIMED_OUT: Final = "not done in"


class Stage(msgspec.Struct, frozen=True):
    """A moment in an operation."""

    name: str
    attempt: int
    at_us: int


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The policy's terms at the time the operation was decided; a policy that changes meanwhile does not change them."""

    timeout_s: float = 120.0
    retries: int = 0
    retry_delay_s: float = 1.0
    block_on_failure: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Times are UNIX microseconds of the journal's users."""

    request_id: str
    number: int
    """Order of acceptance. Operations of one group run in it, failovers first."""
    onset: Onset
    group: str = "default"
    """Of the target, see policy/inventory.py: operations of one group run one after the other."""
    action: str = ""
    """Empty as long as no decision was taken."""
    region: str | None = None
    state: State
    reason: str = ""
    """Of the decision or denial."""
    guard: str | None = None
    """Which guard denied."""
    terms: Terms = Terms()
    created_us: int
    started_us: int | None = None
    """Begin of the first attempt."""
    finished_us: int | None = None
    abated_us: int | None = None
    due_us: int | None = None
    """DENIED, RETRYING: when to decide again. PENDING: before which nobody may claim it."""
    outdated: bool = False
    """PENDING: the operation before it has ended since it was decided, and left the world as another one."""
    attempt: int = 0
    resumptions: int = 0
    """How often a new actor took over from one that was lost."""
    token: int = 0
    """Fencing token of the latest claim; grows over all operations of a journal."""
    actor: str = ""
    lease_until_us: int | None = None
    deadline_us: int | None = None
    """When the running attempt has taken too long."""
    written_us: int = 0
    """When this was written, by the clock of who wrote it. 0: by a release that did not note it."""
    tried: list[str] = []
    """Regions in which attempts have failed."""
    acknowledged: bool = False
    message: str = ""
    """The latest outcome in words."""
    stages: list[Stage] = []

    @property
    def loop(self) -> str:
        """Name of the control loop."""
        return self.onset.name

    @property
    def target(self) -> str:
        """The entity acted upon."""
        return self.onset.target

    @property
    def open(self) -> bool:
        """Not at its end yet."""
        return self.state in OPEN

    @property
    def untouched(self) -> bool:
        """Nobody has begun with it."""
        return not self.attempt

    @property
    def half_done(self) -> bool:
        """Its actor was lost and nobody has taken over: the attempt goes on with the next one."""
        return self.state is State.PENDING and self.message == ACTOR_LOST

    def taken_from(self, token: int) -> bool:
        """Whether it is not the affair of the actor with this token any more, though that one did not say that it is done."""
        if self.token != token or self.half_done:
            return True
        return self.state in (State.RETRYING, State.FAILED) and self.message.startswith((ACTOR_LOST, TIMED_OUT))

    @property
    def blocks(self) -> bool:
        """Its loop must leave the target alone until an operator has acknowledged it."""
        return self.state is State.FAILED and self.terms.block_on_failure and not self.acknowledged


class Refused(msgspec.Struct, frozen=True):
    """The journal does not do it; the reason says why."""

    reason: str
    operation: Operation | None = None
    """The one that stands in the way, where it is one."""
