"""Writes the events of one reporting function: numbers, headers, alarms that are raised once and cleared once, states that change.

What has to outlive the process is in `Memory`: the clearing of an alarm carries the eventId and the start of its raising, also when the
reporter was restarted between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from closedloop_nf.runtime.clock import Instant
from closedloop_nf.ves import records as r

_WORD: Final = re.compile(r"[A-Za-z0-9_.:/@-]{1,255}")
_PRIORITIES: Final[Mapping[r.Domain, Literal["High", "Normal", "Low"]]] = {
    "fault": "High",
    "heartbeat": "Low",
    "measurement": "Low",
    "notification": "Normal",
    "stateChange": "Normal",
}

Condition = Literal["homeAgentLost", "mobilitySocketClosed"]
Severity = Literal["CRITICAL", "MAJOR"]

PROBLEMS: Final[Mapping[Condition, str]] = {
    "homeAgentLost": "Home agent packet processor does not answer",
    "mobilitySocketClosed": "Raw socket of the Mobility Header is closed",
}


class Written(NamedTuple):
    """One event ready for the queue. number: grows by one per event, by more with a restart. body: JSON of the event alone."""

    number: int
    domain: str
    body: bytes


class Alarm(msgspec.Struct, frozen=True):
    """An alarm that stands."""

    event_id: str
    start: int
    """Microseconds of UNIX time."""
    sequence: int


class Memory(msgspec.Struct):
    """What outlives the process."""

    alarms: dict[str, Alarm] = {}
    """`<source>/<condition>` -> the alarm that stands."""
    states: dict[str, r.State] = {}
    """Source -> its state as last reported; outOfService where nothing was."""


class Author:
    """`reporter`: reportingEntityName. `function`: ha-b or ha-pp. `number`: the last one used."""

    def __init__(self, reporter: str, function: str, memory: Memory, number: int) -> None:
        self.reporter = reporter
        self._function = function
        self.memory = memory
        self.number = number
        self.changed = False
        """`memory` is another one than was stored; whoever stores it resets this."""

    def raise_alarm(
        self, source: str, condition: Condition, severity: Severity, now: Instant, information: Mapping[str, object]
    ) -> list[Written]:
        """A fault, unless the alarm stands already."""
        key = f"{source}/{condition}"
        if key in self.memory.alarms:
            return []
        alarm = Alarm(self._event_id("fault", self.number + 1), microseconds(now), 0)
        self.memory.alarms[key] = alarm
        self.changed = True
        return [self._fault(source, condition, severity, alarm, now, information)]

    def clear_alarm(self, source: str, condition: Condition, now: Instant, information: Mapping[str, object]) -> list[Written]:
        """The clearing event: same eventId and start, sequence + 1, severity NORMAL. Nothing where no alarm stands."""
        alarm = self.memory.alarms.pop(f"{source}/{condition}", None)
        if alarm is None:
            return []
        self.changed = True
        return [self._fault(source, condition, "NORMAL", msgspec.structs.replace(alarm, sequence=alarm.sequence + 1), now, information)]

    def enter_state(self, source: str, state: r.State, now: Instant, information: Mapping[str, object]) -> list[Written]:
        """A stateChange, unless it is in that state already."""
        old = self.memory.states.get(source, "outOfService")
        if old == state:
            return []
        self.memory.states[source] = state
        self.changed = True
        fields = r.StateChangeFields(
            old_state=old, new_state=state, state_interface="mobilityHeader", additional_fields=hash_map(information)
        )
        return [self._write("stateChange", source, "mobilityService", now, state_change_fields=fields)]

    def forget(self, source: str) -> None:
        """The source exists no more."""
        if self.memory.states.pop(source, None) is not None:
            self.changed = True

    def notification(self, source: str, change: str, now: Instant, information: Mapping[str, object]) -> list[Written]:
        fields = r.NotificationFields(change_identifier=source, change_type=change, additional_fields=hash_map(information))
        return [self._write("notification", source, change, now, notification_fields=fields)]

    def heartbeat(self, interval_s: int, now: Instant) -> list[Written]:
        fields = r.HeartbeatFields(heartbeat_interval=interval_s)
        return [self._write("heartbeat", self.reporter, "alive", now, heartbeat_fields=fields)]

    def measurement(self, fields: r.MeasurementFields, start: Instant, now: Instant) -> Written:
        """start: of the interval."""
        return self._write("measurement", self.reporter, "mobility", now, start=microseconds(start), measurement_fields=fields)

    def _fault(
        self,
        source: str,
        condition: Condition,
        severity: Literal["CRITICAL", "MAJOR", "NORMAL"],
        alarm: Alarm,
        now: Instant,
        information: Mapping[str, object],
    ) -> Written:
        fields = r.FaultFields(
            alarm_condition=condition,
            event_severity=severity,
            specific_problem=PROBLEMS[condition],
            vf_status="Active" if severity == "NORMAL" else "Idle",
            alarm_additional_information=hash_map(information),
        )
        return self._write("fault", source, condition, now, alarm.start, alarm.event_id, alarm.sequence, fault_fields=fields)

    def _write(
        self,
        domain: r.Domain,
        source: str,
        what: str,
        now: Instant,
        start: int | None = None,
        event_id: str | None = None,
        sequence: int = 0,
        **fields: Any,
    ) -> Written:
        self.number += 1
        at = microseconds(now)
        header = r.CommonEventHeader(
            domain=domain,
            event_id=event_id or self._event_id(domain, self.number),
            event_name=f"{domain[0].upper()}{domain[1:]}_closedloop-{self._function}_{what}",
            sequence=sequence,
            priority=_PRIORITIES[domain],
            source_name=source,
            reporting_entity_name=self.reporter,
            start_epoch_microsec=at if start is None else min(start, at),
            last_epoch_microsec=at,
        )
        return Written(self.number, domain, r.encode(r.Event(common_event_header=header, **fields)))

    def _event_id(self, domain: str, number: int) -> str:
        return f"{self.reporter}-{domain}-{number}"


def microseconds(now: Instant) -> int:
    return max(0, int(now.wall * 1_000_000))


def hash_map(information: Mapping[str, object]) -> dict[str, str]:
    """Values as VES wants them, strings; what is not one of our own words comes out as `other`."""
    return {key: word(value) for key, value in information.items()}


def word(value: object) -> str:
    """Numbers, truth values and plain words; any other text could be an attack on whoever reads events."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _WORD.fullmatch(text) else "other"
