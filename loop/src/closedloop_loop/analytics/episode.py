"""One episode of a condition: from a signal that may flutter to exactly one onset and one abated.

    QUIET --on--> HELD --hold_s over--> DAMPED --damping allows--> ACTIVE --off--> CLEARING --quiet_s over--> QUIET
      ^            |                      |                          ^               |
      +----off-----+---------off----------+                          +------on-------+

FIRE is told on the way into ACTIVE, END on the way out of CLEARING; they alternate. A phase with nothing to wait for is left at the moment
it is entered. With repeat_s an ACTIVE episode ends after so long and goes through DAMPED into the next one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from closedloop_loop.onset import Onset
from closedloop_loop.policy.model import Condition

Told: TypeAlias = Literal["fire", "end"]


class Phase(StrEnum):
    """Of an episode."""

    QUIET = "quiet"
    HELD = "held"
    DAMPED = "damped"
    ACTIVE = "active"
    CLEARING = "clearing"


class Episode(msgspec.Struct, kw_only=True):
    """Times `t` are seconds on analytics' own time scale; those named `_us` are UNIX microseconds of the sender's clock."""

    phase: Phase = Phase.QUIET
    since: float = 0.0
    """When the phase was entered."""
    cause: str = ""
    """Identity of the record that began it."""
    start_us: int = 0
    end_us: int = 0
    fired: list[float] = []
    """The latest onsets, as many as damping counts."""
    onset: Onset | None = None
    """The one that was told and not abated yet."""

    def signal(self, on: bool, cause: str, at_us: int, t: float, condition: Condition) -> list[Told]:
        """The condition is true or false as of now. cause, at_us: the record that says so, and since when."""
        match self.phase, on:
            case Phase.QUIET, True:
                self.cause, self.start_us = cause, at_us
                self._enter(Phase.HELD, t)
            case ((Phase.HELD | Phase.DAMPED), False):
                self._enter(Phase.QUIET, t)
            case Phase.ACTIVE, False:
                self.end_us = at_us
                self._enter(Phase.CLEARING, t)
            case Phase.CLEARING, True:
                self._enter(Phase.ACTIVE, t)
        return self.advance(t, condition)

    def advance(self, t: float, condition: Condition) -> list[Told]:
        """Leave every phase whose time is over."""
        told: list[Told] = []
        while (due := self.deadline(condition)) is not None and due <= t:
            match self.phase:
                case Phase.HELD:
                    self._enter(Phase.DAMPED, t)
                case Phase.DAMPED:
                    self.fired = [*self.fired, t][-condition.damping.onsets :]
                    self._enter(Phase.ACTIVE, t)
                    told.append("fire")
                case Phase.ACTIVE:
                    told.append("end")
                    self.end_us = 0
                    self.cause = f"after {self.onset.request_id if self.onset else self.cause}"
                    self._enter(Phase.DAMPED, t)
                case Phase.CLEARING:
                    self._enter(Phase.QUIET, t)
                    told.append("end")
        return told

    def deadline(self, condition: Condition) -> float | None:
        """When `advance` has something to do."""
        match self.phase:
            case Phase.HELD:
                return self.since + condition.hold_s
            case Phase.DAMPED:
                return self.since if len(self.fired) < condition.damping.onsets else self.fired[0] + condition.damping.within_s
            case Phase.ACTIVE:
                return None if condition.repeat_s is None else self.fired[-1] + condition.repeat_s
            case Phase.CLEARING:
                return self.since + condition.quiet_s
        return None

    def _enter(self, phase: Phase, t: float) -> None:
        self.phase, self.since = phase, t
