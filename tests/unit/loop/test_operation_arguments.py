"""The argument spec of the module closedloop.mobility.operation takes what the event source hands on, and no more."""

from __future__ import annotations

from typing import get_args

import msgspec
from ansible_collections.closedloop.mobility.plugins.plugin_utils import operation
from closedloop_loop.onset import Onset, TargetType
from closedloop_loop.operations.actor import Order
from closedloop_loop.policy.model import Action


def test_an_onset_has_the_fields_of_the_message() -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(Onset)}
    assert set(operation.ONSET) == set(fields)
    assert {name for name, option in operation.ONSET.items() if option.get("required")} == {n for n, f in fields.items() if f.required}
    assert tuple(operation.ONSET["targetType"]["choices"]) == get_args(TargetType)  # type: ignore[arg-type] # a list


def test_an_order_has_the_fields_of_a_decision_by_hand() -> None:
    assert set(operation.ORDER) == {field.name for field in msgspec.structs.fields(Order)}
    assert tuple(operation.ORDER["action"]["choices"]) == get_args(Action)  # type: ignore[arg-type] # a list
