"""The control loop message: a flat map that its schema describes."""

from __future__ import annotations

import jsonschema
import msgspec
import pytest
from closedloop_loop.onset import from_map, schema, to_map

from tests.unit.loop.bench import onset

HOSTILE = ["{{ x }}", "a\n", "../x", "x" * 200]


def test_it_has_onaps_names_and_only_scalars() -> None:
    message = to_map(onset(severity="MAJOR", aai_cloud_region_id="region-a"))
    assert message["closedLoopControlName"] == "loop"
    assert message["closedLoopEventStatus"] == "ONSET"
    assert message["from"] == "closedloop.analytics"
    assert all(isinstance(value, str | int | float) for value in message.values())
    assert "closedLoopAlarmEnd" not in message


@pytest.mark.parametrize("status", ["ONSET", "ABATED"])
def test_the_map_goes_there_and_back_and_fits_the_schema(status: str) -> None:
    message = onset(status=status, value=1.5, limit=1.0)
    assert from_map(to_map(message)) == message
    jsonschema.Draft202012Validator(schema()).validate(to_map(message))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["target", "closedLoopControlName", "requestID", "reason", "aai_cloud_region_id", "from"])
def test_neither_code_nor_schema_lets_hostile_text_in(field: str, text: str) -> None:
    message = {**to_map(onset()), field: text}
    with pytest.raises(msgspec.ValidationError):
        from_map(message)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(message)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        from_map({**to_map(onset()), "more": "x"})
