"""What analytics knows of a VES event: a typed record of allow-listed scalars. Nothing else of an event gets past `from_event`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from closedloop_loop import figures
from closedloop_loop.names import MAX_COUNT, Count, Figure, Microseconds, Name, is_name

Severity = Literal["CRITICAL", "MAJOR", "MINOR", "WARNING", "NORMAL"]
SEVERITIES: Final[tuple[Severity, ...]] = ("NORMAL", "WARNING", "MINOR", "MAJOR", "CRITICAL")
"""From the least to the most severe."""

ATTRIBUTES: Final = {
    "cloud-region.cloud-region-id": "cloud_region_id",
    "generic-vnf.vnf-name": "vnf_name",
    "vf-module.vf-module-name": "vf_module_name",
    "vserver.vserver-name": "vserver_name",
    "region": "cloud_region_id",
}
"""Keys of A&AI, ONAP's inventory, that an event may carry in `alarmAdditionalInformation` or `additionalFields`, and our names for them.
`region` is what HA-B and HA-PP say."""

REMOVED: Final = "homeAgentRemoved"
"""`changeType` by which HA-B tells that an HA-PP was taken out of its list."""
CONNECTED: Final = "homeAgentConnected"
"""`changeType` by which HA-B tells that an HA-PP has reached it."""

MAX_INTERVAL_S: Final = 86_400.0
Interval = Annotated[float, msgspec.Meta(ge=0, le=MAX_INTERVAL_S)]


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What all records have."""

    source: Name
    """`sourceName`: the entity that has the issue, for example the HA-PP that was lost; not the one that reports it."""
    event_id: Name
    """`eventId`; where it is not a Name, a digest of it."""
    sequence: Count
    start_us: Microseconds
    """`startEpochMicrosec`: when what is told began."""
    time_us: Microseconds
    """`lastEpochMicrosec`: the moment this record tells of, by the sender's clock."""
    attributes: dict[Name, Name] = {}
    """Values of ATTRIBUTES."""
    own: bool = False
    """The source tells it of itself."""

    @property
    def identity(self) -> str:
        """The same for every delivery of the same event, and for no other event."""
        return f"{self.source}|{self.event_id}|{self.sequence}|{self.time_us}"


class FaultRaised(Record, frozen=True, tag="fault_raised"):
    """`fault` with a severity other than NORMAL."""

    alarm: Name
    """`alarmCondition`."""
    severity: Severity


class FaultCleared(Record, frozen=True, tag="fault_cleared"):
    """`fault` with severity NORMAL: the alarm of the same source and alarm condition has ended."""

    alarm: Name


class Measurement(Record, frozen=True, tag="measurement"):
    """`measurement`; figures.py says which figures there are."""

    interval_s: Interval
    figures: dict[Figure, float]


class Heartbeat(Record, frozen=True, tag="heartbeat"):
    """`heartbeat`. interval_s: when the next one is promised; 0 where the sender did not say."""

    interval_s: Interval = 0.0


class OutOfService(Record, frozen=True, tag="out_of_service"):
    """`stateChange` by which a function tells of itself that it stops: no heartbeat of it is to be expected."""


class Removed(Record, frozen=True, tag="removed"):
    """`notification` of HA-B that an HA-PP is no more: somebody has taken it away for good."""


class Connected(Record, frozen=True, tag="connected"):
    """`notification` of HA-B that an HA-PP has reached it: a new one, where one of that name was taken away before."""


AnyRecord: TypeAlias = FaultRaised | FaultCleared | Measurement | Heartbeat | OutOfService | Removed | Connected


class Rejected(msgspec.Struct, frozen=True):
    """No record. `other`: a VES event that analytics does not use, which is no error; otherwise something in it is not allowed."""

    reason: str
    """Names the field and the rule, never the value."""
    other: bool = False


def encode(record: AnyRecord) -> bytes:
    """As JSON, for a journal."""
    return msgspec.json.encode(record)


_decoder: Final[msgspec.json.Decoder[AnyRecord]] = msgspec.json.Decoder(AnyRecord)


def decode(data: bytes) -> AnyRecord:
    """What `encode` wrote. Raises msgspec.ValidationError when it did not."""
    return _decoder.decode(data)


class _Refusal(Exception):
    pass


def from_event(event: Any) -> AnyRecord | Rejected:
    """The record of one VES event, `{"event": {...}}` or what is inside. Total: any value whatever gives a record or a reason."""
    try:
        return _from_event(event)
    except _Refusal as refusal:
        return Rejected(str(refusal))


def _from_event(event: Any) -> AnyRecord | Rejected:
    if isinstance(event, dict) and "event" in event:
        event = event["event"]
    header = _object(event, "commonEventHeader")
    domain = header.get("domain")
    match domain:
        case "fault":
            return _fault(_header(header), _object(event, "faultFields"))
        case "measurement":
            return _measurement(_header(header), _object(event, "measurementFields"))
        case "heartbeat":
            fields = event.get("heartbeatFields")
            return _heartbeat(_header(header), fields if isinstance(fields, dict) else {})
        case "stateChange":
            return _state_change(header, _object(event, "stateChangeFields"))
        case "notification":
            return _notification(header, _object(event, "notificationFields"))
        case str():
            return Rejected(
                "commonEventHeader.domain: analytics uses fault, measurement, heartbeat, stateChange and notification", other=True
            )
    raise _Refusal("commonEventHeader.domain: expected text")


def _fault(header: dict[str, Any], fields: dict[str, Any]) -> FaultRaised | FaultCleared:
    header["attributes"] = _attributes(fields.get("alarmAdditionalInformation"))
    alarm = _name(fields, "alarmCondition", "faultFields")
    severity = fields.get("eventSeverity")
    if type(severity) is not str or severity not in SEVERITIES:
        raise _Refusal(f"faultFields.eventSeverity: expected one of {', '.join(SEVERITIES)}")
    if severity == "NORMAL":
        return FaultCleared(**header, alarm=alarm)
    return FaultRaised(**header, alarm=alarm, severity=severity)


def _measurement(header: dict[str, Any], fields: dict[str, Any]) -> Measurement:
    interval_s = _interval(fields, "measurementInterval", "measurementFields")
    if interval_s < 0.001:
        raise _Refusal("measurementFields.measurementInterval: expected at least 0.001 s")
    header["attributes"] = _attributes(fields.get("additionalFields"))
    try:
        return Measurement(**header, interval_s=interval_s, figures=figures.read(fields, interval_s))
    except figures.TooMany as error:
        raise _Refusal(f"measurementFields: {error}") from None


def _heartbeat(header: dict[str, Any], fields: dict[str, Any]) -> Heartbeat:
    header["attributes"] = _attributes(fields.get("additionalFields"))
    interval_s = _interval(fields, "heartbeatInterval", "heartbeatFields") if "heartbeatInterval" in fields else 0.0
    return Heartbeat(**header, interval_s=interval_s)


def _state_change(header: dict[str, Any], fields: dict[str, Any]) -> OutOfService | Rejected:
    if fields.get("newState") != "outOfService" or header.get("reportingEntityName") != header.get("sourceName"):
        return Rejected("stateChangeFields: analytics uses what a function tells of its own end", other=True)
    return OutOfService(**_header(header), attributes=_attributes(fields.get("additionalFields")))


def _notification(header: dict[str, Any], fields: dict[str, Any]) -> Removed | Connected | Rejected:
    kinds: dict[Any, type[Removed] | type[Connected]] = {REMOVED: Removed, CONNECTED: Connected}
    kind = kinds.get(fields.get("changeType"))
    if kind is None:
        return Rejected("notificationFields: analytics uses that a function comes, and that it is removed", other=True)
    return kind(**_header(header), attributes=_attributes(fields.get("additionalFields")))


def _header(header: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": _name(header, "sourceName", "commonEventHeader"),
        "event_id": _event_id(header.get("eventId")),
        "sequence": _count(header, "sequence"),
        "start_us": _count(header, "startEpochMicrosec"),
        "time_us": _count(header, "lastEpochMicrosec"),
        "own": header.get("reportingEntityName") == header.get("sourceName"),
    }


def _object(parent: Any, key: str) -> dict[str, Any]:
    value = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(value, dict):
        raise _Refusal(f"{key}: expected an object")
    return value


def _name(fields: Mapping[str, Any], key: str, parent: str) -> str:
    value = fields.get(key)
    if not is_name(value):
        raise _Refusal(f"{parent}.{key}: expected 1 to 128 letters, digits or inner '.', '_', ':', '-'")
    return value


def _event_id(value: Any) -> str:
    """An event's id only has to tell it from others, so one that the allow-list refuses still serves as a digest."""
    if is_name(value):
        return value
    if type(value) is not str or not value:
        raise _Refusal("commonEventHeader.eventId: expected text")
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _count(header: Mapping[str, Any], key: str) -> int:
    value = header.get(key)
    if (type(value) is not int and type(value) is not float) or not 0 <= value <= MAX_COUNT:
        raise _Refusal(f"commonEventHeader.{key}: expected a number from 0 to 2^53")
    return int(value)


def _interval(fields: Mapping[str, Any], key: str, parent: str) -> float:
    value = figures.number(fields.get(key))
    if value is None or value > MAX_INTERVAL_S:
        raise _Refusal(f"{parent}.{key}: expected seconds from 0 to {MAX_INTERVAL_S:.0f}")
    return value


def _attributes(information: Any) -> dict[str, str]:
    if not isinstance(information, dict):
        return {}
    return {name: value for key, name in ATTRIBUTES.items() if is_name(value := information.get(key))}
