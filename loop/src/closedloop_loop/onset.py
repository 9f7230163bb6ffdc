"""The control loop message: what analytics tells the rulebook, a flat map of typed, allow-listed scalars.

It follows ONAP's control loop event (policy/models, VirtualControlLoopEvent): the same names for the same things, but the A&AI map is
flattened to `aai_*`, and `target` holds the entity's name itself instead of the A&AI key under which to find it.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final, Literal, TypedDict

import msgspec

from closedloop_loop.names import Microseconds, Name, RequestId
from closedloop_loop.records import Severity

MESSAGE_VERSION: Final = "1.0.2"
SENDER: Final = "closedloop.analytics"
OPERATOR: Final = "closedloop.operator"
"""Sender of what a person has ordered."""
NAMESPACE: Final = uuid.UUID("6f6b1c5e-0c8d-5d0e-9d3b-7a1f6f0b4c11")
"""Request ids are version 5 UUIDs in this namespace."""

TargetType = Literal["VF_MODULE", "VNF", "VM"]
Status = Literal["ONSET", "ABATED"]

_ONAP_NAMES: Final = {
    "name": "closedLoopControlName",
    "request_id": "requestID",
    "status": "closedLoopEventStatus",
    "alarm_start_us": "closedLoopAlarmStart",
    "alarm_end_us": "closedLoopAlarmEnd",
    "target_type": "targetType",
    "sender": "from",
}


class Onset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_ONAP_NAMES):
    """A loop must act (ONSET), or what it had to act upon has ended (ABATED). Both have the same request id."""

    name: Annotated[Name, msgspec.Meta(description="Name of the control loop, as in the policy.")]
    request_id: RequestId
    status: Status
    alarm_start_us: Microseconds
    """When it began, by the clock of the function that told of it."""
    alarm_end_us: Microseconds | None = None
    """When it ended; ABATED only."""
    target: Annotated[Name, msgspec.Meta(description="The entity to act upon.")]
    target_type: TargetType = "VF_MODULE"
    reason: Annotated[Name, msgspec.Meta(description="Alarm condition or figure, or heartbeat_lost.")]
    severity: Severity | None = None
    """Of a fault."""
    value: float | None = None
    """Of a threshold's figure: what was measured."""
    limit: float | None = None
    """Of a threshold: the level that was crossed."""
    aai_cloud_region_id: Name | None = None
    aai_generic_vnf_vnf_name: Name | None = None
    aai_vf_module_vf_module_name: Name | None = None
    aai_vserver_vserver_name: Name | None = None
    sender: Literal["closedloop.analytics", "closedloop.operator"] = SENDER
    version: Literal["1.0.2"] = MESSAGE_VERSION


class Aai(TypedDict):
    """The A&AI fields of an Onset."""

    aai_cloud_region_id: str | None
    aai_generic_vnf_vnf_name: str | None
    aai_vf_module_vf_module_name: str | None
    aai_vserver_vserver_name: str | None


def aai(attributes: dict[str, str]) -> Aai:
    """The A&AI fields of an Onset from a record's attributes."""
    return {
        "aai_cloud_region_id": attributes.get("cloud_region_id"),
        "aai_generic_vnf_vnf_name": attributes.get("vnf_name"),
        "aai_vf_module_vf_module_name": attributes.get("vf_module_name"),
        "aai_vserver_vserver_name": attributes.get("vserver_name"),
    }


def request_id(loop: str, key: str, cause: str) -> str:
    """The same for the same cause, so that an onset derived again after a crash is known as the same one.

    loop, key: which state machine; cause: `identity` of the record that began it.
    """
    return str(uuid.uuid5(NAMESPACE, f"{loop}|{key}|{cause}"))


def to_map(onset: Onset) -> dict[str, str | int | float]:
    """The flat map, without the fields that are not set."""
    return {name: value for name, value in msgspec.to_builtins(onset).items() if value is not None}


def from_map(data: Any) -> Onset:
    """Raises msgspec.ValidationError, which names the field."""
    return msgspec.convert(data, Onset, strict=True)


def schema() -> dict[str, Any]:
    """JSON schema of the map."""
    return msgspec.json.schema(Onset)
