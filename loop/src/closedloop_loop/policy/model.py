"""The policy file's types. Each is a msgspec Struct, from which both the check of a file and the JSON schema come."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from closedloop_loop.files import FieldError
from closedloop_loop.names import END, FIGURE_PATTERN, Name
from closedloop_loop.onset import TargetType

Seconds = Annotated[float, Meta(ge=0, le=31_536_000, description="Seconds, at most a year.")]
PositiveSeconds = Annotated[float, Meta(gt=0, le=31_536_000, description="Seconds, more than 0, at most a year.")]
Level = Annotated[float, Meta(ge=-1e15, le=1e15)]
SourcePattern = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9*?](?:[A-Za-z0-9*?._:-]{0,127})" + END,
        description="Name of a source; '*' stands for any text, '?' for one letter.",
    ),
]
PolicyFigure = Annotated[
    str, Meta(pattern=FIGURE_PATTERN, max_length=128, description="A figure of docs/policy.md, for example cpu_percent.")
]
Clock = Annotated[str, Meta(pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]" + END, description="Time of day in UTC, HH:MM.")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Action = Literal["failover", "scale_out", "scale_in", "rebalance"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Damping(_Part, frozen=True, kw_only=True):
    """Flapping: at most `onsets` onsets of one target in any `within_s`; a further one waits until the first of them is that old."""

    onsets: Annotated[int, Meta(ge=1, le=1000)] = 3
    within_s: PositiveSeconds = 600.0


class _Condition(_Part, frozen=True, kw_only=True, tag_field="kind"):
    hold_s: Annotated[Seconds, Meta(description="So long it must be true without a break before the onset.")] = 0.0
    quiet_s: Annotated[Seconds, Meta(description="So long it must be false without a break before it is abated.")] = 0.0
    repeat_s: Annotated[
        PositiveSeconds | None, Meta(description="While it lasts, it is abated and begins anew after so long, so that the loop acts again.")
    ] = None
    damping: Damping = Damping()


class Fault(_Condition, frozen=True, kw_only=True, tag="fault"):
    """A fault event with one of these alarm conditions, until its clearing event."""

    alarms: Annotated[list[Name], Meta(min_length=1, max_length=64)]
    severity: Annotated[Literal["WARNING", "MINOR", "MAJOR", "CRITICAL"], Meta(description="This severity or a higher one.")] = "MAJOR"


class HeartbeatLost(_Condition, frozen=True, kw_only=True, tag="heartbeat_lost"):
    """No heartbeat event from a source that has sent one, for `missed` intervals."""

    interval_s: Annotated[PositiveSeconds | None, Meta(description="Without it, what the heartbeat itself promises.")] = None
    missed: Annotated[int, Meta(ge=1, le=100)] = 3


class _Windowed(_Condition, frozen=True, kw_only=True):
    figure: PolicyFigure
    window_s: Annotated[PositiveSeconds, Meta(description="The mean of the samples of so many seconds counts.")]
    samples: Annotated[int, Meta(ge=1, le=1000, description="With fewer samples in the window nothing is decided.")] = 3
    silence_s: Annotated[
        PositiveSeconds | None,
        Meta(description="A source without a sample for so long no longer counts, and its onset is abated; 3 windows."),
    ] = None

    @property
    def patience_s(self) -> float:
        """`silence_s` or its default."""
        return 3 * self.window_s if self.silence_s is None else self.silence_s


class Threshold(_Windowed, frozen=True, kw_only=True, tag="threshold"):
    """The mean of a figure goes above a level (or below one) until it is back past `clear`."""

    above: Level | None = None
    below: Level | None = None
    clear: Annotated[Level, Meta(description="Hysteresis: where it ends; at most `above`, at least `below`.")]
    across: Annotated[
        Literal["each", "all"],
        Meta(description="each: every source by itself. all: the mean of the sources in scope; the target is the one farthest out."),
    ] = "each"

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise FieldError(("above", "below"), "exactly one of the two is needed; give one")
        if self.above is not None and self.clear > self.above:
            raise FieldError(("clear", "above"), "clear is higher than above; give a level at or under it")
        if self.below is not None and self.clear < self.below:
            raise FieldError(("clear", "below"), "clear is lower than below; give a level at or over it")


class Imbalance(_Windowed, frozen=True, kw_only=True, tag="imbalance"):
    """The busiest source in scope has more than `above` times the mean of all, until less than `clear` times."""

    above: Annotated[float, Meta(gt=1, le=1000, description="Ratio of the highest to the mean.")]
    clear: Annotated[float, Meta(ge=1, le=1000)]
    floor: Annotated[Level, Meta(description="With a mean under it all is calm, however uneven.")] = 0.0

    def __post_init__(self) -> None:
        if self.clear > self.above:
            raise FieldError(("clear", "above"), "clear is higher than above; give a ratio at or under it")


Condition: TypeAlias = Fault | HeartbeatLost | Threshold | Imbalance


class Scope(_Part, frozen=True, kw_only=True):
    """Whose events a loop regards."""

    sources: Annotated[list[SourcePattern], Meta(min_length=1, max_length=1024)]
    target_type: TargetType = "VF_MODULE"


class Target(_Part, frozen=True, kw_only=True):
    """How the region of a new VF module is chosen: of those allowed, the one with the most free capacity; by name where they are equal."""

    regions: Annotated[
        Annotated[list[Name], Meta(min_length=1, max_length=1024)] | None, Meta(description="Only these; without it all of the inventory.")
    ] = None
    anti_affinity: Annotated[
        Literal["required", "preferred", "none"],
        Meta(description="Whether a region with a module of the group, or with the failed one, is ruled out, taken last, or as any other."),
    ] = "preferred"


class Frequency(_Part, frozen=True, kw_only=True):
    """At most `operations` in any `within_s`, counted for one target or for the whole loop."""

    operations: Annotated[int, Meta(ge=1, le=100_000)]
    within_s: PositiveSeconds
    per: Literal["target", "loop"] = "target"


class Blackout(_Part, frozen=True, kw_only=True):
    """A time of the day, in UTC, in which the loop does not act. One whose end is not after its start runs past midnight."""

    start: Clock
    end: Clock
    days: Annotated[list[Day], Meta(min_length=1, max_length=7, description="Days on which it starts.")] = msgspec.field(
        default_factory=lambda: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    )


class Guards(_Part, frozen=True, kw_only=True):
    """What forbids an action."""

    min_instances: Annotated[int, Meta(ge=0, le=100_000, description="Ready modules that a scale_in must leave.")] = 1
    max_instances: Annotated[int, Meta(ge=1, le=100_000, description="Modules that a scale_out or failover may lead to.")] = 16
    frequency: Annotated[list[Frequency], Meta(max_length=8)] = []
    blackout: Annotated[list[Blackout], Meta(max_length=64)] = []
    recheck_s: Annotated[
        float, Meta(ge=0.1, le=86_400, description="A denial that names no end itself is looked at again after so long.")
    ] = 30.0

    def __post_init__(self) -> None:
        if self.min_instances > self.max_instances:
            raise FieldError(("min_instances", "max_instances"), "min_instances is higher than max_instances; correct one of them")


class Loop(_Part, frozen=True, kw_only=True):
    """One control loop."""

    name: Name
    scope: Scope
    condition: Condition
    action: Action
    target: Target = Target()
    guards: Guards = Guards()
    timeout_s: Annotated[PositiveSeconds, Meta(description="One attempt that takes longer has failed.")] = 120.0
    retries: Annotated[int, Meta(ge=0, le=100, description="Further attempts after one that failed.")] = 1
    retry_delay_s: Seconds = 1.0
    on_failure: Annotated[
        Literal["release", "block"],
        Meta(
            description="After the last attempt. release: the next onset acts again. block: the loop leaves the target until an operator"
            " has acknowledged the operation."
        ),
    ] = "release"


class Policy(_Part, frozen=True, kw_only=True):
    """A policy file."""

    version: Literal[1]
    loops: Annotated[list[Loop], Meta(min_length=1, max_length=256)]

    def __post_init__(self) -> None:
        names = [loop.name for loop in self.loops]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FieldError(["loops"], f"loops with the same name: {', '.join(twice)}; names are unique")

    def loop(self, name: str) -> Loop | None:
        """By name."""
        return next((loop for loop in self.loops if loop.name == name), None)
