"""What goes into the journal's core and what comes out."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted event. key: the same for every delivery of it, for no other event; body: the event, `{"event":{...}}`; source: its
    `sourceName`, for those who keep the order of each source apart."""

    key: bytes
    body: bytes
    source: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for the consumer. id: rises with time; again: it may have been delivered before a restart; accepted_us: UNIX microseconds
    at which it was durable, None for one that was read from the store."""

    id: int
    body: bytes
    again: bool = False
    accepted_us: int | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a store holds when it is opened.

    finished: every event up to this id is finished; last: the highest id ever given away (as far as known); backlog: events that are not
    finished; keys: (id, key) of the events remembered, rising; state: the consumer's, as of `finished`.
    """

    finished: int = 0
    last: int = 0
    backlog: int = 0
    keys: tuple[tuple[int, bytes], ...] = ()
    state: bytes | None = None


class Verdict(enum.Enum):
    """What becomes of a request."""

    ACCEPTED = "accepted"
    """Every event of it is durable."""
    BUSY = "busy"
    """Nothing of it was taken: too much waits."""
    FAILED = "failed"
    """The store refused it; what of it became durable collapses with its next delivery."""


# --- inputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submit:
    """Events of one request, answered by exactly one Answer."""

    request: int
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Committed:
    """The commit under way is durable."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The commit under way changed nothing."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Answer to Read: rows (id, body), rising; more: limits ended it early."""

    rows: list[tuple[int, bytes]]
    more: bool


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """Answer to Read: the store could not."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The consumer is done with these events; they will not be delivered again once this is durable.

    Without a state in any order. With one, which is what the consumer has made of all events up to these, oldest first: both become
    durable at once. request: begin to store it now, and answer.
    """

    ids: list[int]
    state: bytes | None = None
    request: int | None = None


@dataclass(frozen=True, slots=True)
class Refill:
    """The consumer has taken deliveries: there may be room for more."""


Input: TypeAlias = Submit | Committed | Failed | Loaded | ReadFailed | Finished | Refill

# --- actions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Commit:
    """Store all of it in one transaction, then say Committed or Failed. At most one is under way.

    rows: (id, key, body), ids without a gap; finished: remove events up to this id; forget: keys up to this id need no longer be kept;
    state: of the consumer, None where it is as it was.
    """

    rows: list[tuple[int, bytes, bytes]]
    finished: int
    forget: int
    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Read events with after < id <= through, at most `rows`, and no further one once `octets` are reached."""

    after: int
    through: int
    rows: int
    octets: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell the sender."""

    request: int
    verdict: Verdict
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """There are deliveries to take."""


Action: TypeAlias = Commit | Read | Answer | Ready
