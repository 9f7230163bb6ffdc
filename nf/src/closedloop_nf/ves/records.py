"""The events that the functions send, as records: the subset of VES 7.2.1 (CommonEventFormat 30.2.1) in use, tighter than the standard.

These types are the schema: `schema()` prints it, `decode()` checks a body against it. Field names on the wire are the standard's, in camel
case. Octets and packets are counts, times named `epoch_microsec` are microseconds of UNIX time.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/@-]{1,255}$", description="Our own word, a name or an address.")]
Sentence = Annotated[str, Meta(pattern=r"^[A-Za-z0-9 ,;()'-]{1,255}$", description="Our own words.")]
HashMap = dict[Annotated[str, Meta(pattern=r"^[a-z][A-Za-z0-9]{0,63}$")], Word]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Domain = Literal["fault", "heartbeat", "measurement", "notification", "stateChange"]
State = Literal["inService", "maintenance", "outOfService"]


class _Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Common to all."""


class CommonEventHeader(_Record, frozen=True, kw_only=True):
    version: Literal["4.1"] = "4.1"
    ves_event_listener_version: Literal["7.2.1"] = "7.2.1"
    domain: Domain
    event_id: Word
    """With `sequence` and `source_name` it names one event; an alarm's clearing has the id of its raising."""
    event_name: Word
    event_type: Literal["mobileIpv6"] = "mobileIpv6"
    sequence: Count
    """0, and for a fault the number of its changes."""
    priority: Literal["High", "Normal", "Low"]
    source_name: Word
    """Whom it is about."""
    reporting_entity_name: Word
    """Who says it."""
    start_epoch_microsec: Count
    last_epoch_microsec: Count


class FaultFields(_Record, frozen=True, kw_only=True):
    fault_fields_version: Literal["4.0"] = "4.0"
    alarm_condition: Literal["homeAgentLost", "mobilitySocketClosed"]
    event_category: Literal["mobility"] = "mobility"
    event_severity: Literal["CRITICAL", "MAJOR", "NORMAL"]
    event_source_type: Literal["virtualNetworkFunction"] = "virtualNetworkFunction"
    specific_problem: Sentence
    vf_status: Literal["Active", "Idle"]
    alarm_additional_information: HashMap


class HeartbeatFields(_Record, frozen=True, kw_only=True):
    heartbeat_fields_version: Literal["3.0"] = "3.0"
    heartbeat_interval: Annotated[int, Meta(ge=1)]
    """Seconds."""


class NotificationFields(_Record, frozen=True, kw_only=True):
    notification_fields_version: Literal["2.0"] = "2.0"
    change_identifier: Word
    change_type: Word
    additional_fields: HashMap


class StateChangeFields(_Record, frozen=True, kw_only=True):
    state_change_fields_version: Literal["4.0"] = "4.0"
    old_state: State
    new_state: State
    state_interface: Word
    additional_fields: HashMap


class CpuUsage(_Record, frozen=True, kw_only=True):
    """Percent of one processor for `process`, of all of them for `host`."""

    cpu_identifier: Literal["process", "host"]
    percent_usage: Amount
    cpu_usage_soft_irq: Amount | UnsetType = UNSET


class MemoryUsage(_Record, frozen=True, kw_only=True):
    """Kibibytes: used by this process, available on the host."""

    vm_identifier: Word
    memory_used: Count
    memory_free: Count


class NicPerformance(_Record, frozen=True, kw_only=True):
    nic_identifier: Word
    values_are_suspect: Literal["true", "false"] = "false"
    """`true` where a counter went backwards since the last event: the interface was made anew."""
    received_octets_delta: Count
    received_total_packets_delta: Count
    received_discarded_packets_delta: Count
    transmitted_octets_delta: Count
    transmitted_total_packets_delta: Count
    transmitted_discarded_packets_delta: Count
    received_octets_accumulated: Count
    transmitted_octets_accumulated: Count


class NamedHashMap(_Record, frozen=True, kw_only=True):
    name: Literal["mobileNode"]
    hash_map: HashMap


class MeasurementFields(_Record, frozen=True, kw_only=True):
    measurement_fields_version: Literal["4.0"] = "4.0"
    measurement_interval: Annotated[float, Meta(gt=0)]
    """Seconds."""
    concurrent_sessions: Count
    """Bindings."""
    request_rate: Amount
    """Binding Updates a second, mean of the interval."""
    cpu_usage_array: list[CpuUsage] | UnsetType = UNSET
    memory_usage_array: list[MemoryUsage] | UnsetType = UNSET
    nic_performance_array: list[NicPerformance] | UnsetType = UNSET
    additional_measurements: list[NamedHashMap] | UnsetType = UNSET
    additional_fields: HashMap


class Event(_Record, frozen=True, kw_only=True):
    """A header and the fields of its domain."""

    common_event_header: CommonEventHeader
    fault_fields: FaultFields | UnsetType = UNSET
    heartbeat_fields: HeartbeatFields | UnsetType = UNSET
    measurement_fields: MeasurementFields | UnsetType = UNSET
    notification_fields: NotificationFields | UnsetType = UNSET
    state_change_fields: StateChangeFields | UnsetType = UNSET

    def __post_init__(self) -> None:
        domain = self.common_event_header.domain
        present = [field for field in self.__struct_encode_fields__[1:] if getattr(self, _ATTRIBUTES[field]) is not UNSET]
        if present != [domain + "Fields"]:
            raise ValueError(f"an event of the domain {domain} has exactly the fields {domain}Fields, got {present}")


_ATTRIBUTES = dict(zip(Event.__struct_encode_fields__, Event.__struct_fields__, strict=True))


def encode(event: Event) -> bytes:
    """The event alone, as it stands in `eventList`; inside `{"event": ...}` it is a request's body."""
    return msgspec.json.encode(event)


def decode(body: bytes) -> Event:
    """What `encode` made; checks every rule of the types. Raises msgspec.ValidationError."""
    return msgspec.json.decode(body, type=Event, strict=True)


def schema() -> dict[str, Any]:
    """JSON schema (2020-12) of one event."""
    return msgspec.json.schema(Event)
