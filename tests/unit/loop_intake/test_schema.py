"""Our definitions of a VES event and the published schema say the same about the same events."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import fastjsonschema
import jsonschema
import msgspec
import pytest
from closedloop_loop.schemas import notation, ves
from closedloop_tools.ves_source.load import measurement
from hypothesis import HealthCheck, given, settings

from tests.unit.loop_intake import generated

PUBLISHED = Path(os.environ.get("VES_SCHEMA") or Path(__file__).parents[4] / "shared" / "reference" / "CommonEventFormat_30.2.1_ONAP.json")
thorough = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    assert PUBLISHED.is_file(), f"{PUBLISHED} is missing: name the file CommonEventFormat_30.2.1_ONAP.json by the variable VES_SCHEMA"
    found: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def oracle(published: dict[str, Any]) -> Any:
    return fastjsonschema.compile(published, use_formats=False)


def accepts(validate: Any, document: Any) -> bool:
    try:
        validate(document)
    except fastjsonschema.JsonSchemaException:
        return False
    return True


def ours(document: Any) -> bool:
    try:
        ves.single.decode(json.dumps(document).encode())
    except msgspec.ValidationError:
        return False
    return True


@thorough
@given(document=generated.events)
def test_what_the_definitions_allow_is_accepted_by_both(oracle: Any, document: Any) -> None:
    assert accepts(oracle, document)
    assert ours(document)


@thorough
@given(document=generated.changed())
def test_one_change_is_judged_alike_by_both(oracle: Any, document: Any) -> None:
    assert ours(document) == accepts(oracle, document)


@thorough
@given(document=generated.events)
def test_an_event_says_the_same_after_it_was_read_and_written(document: Any) -> None:
    assert json.loads(msgspec.json.encode(ves.single.decode(json.dumps(document).encode()))) == document


def test_every_field_of_the_published_schema_is_defined_and_no_other(published: dict[str, Any]) -> None:
    definitions = {
        name: set(definition["properties"])
        for name, definition in published["definitions"].items()
        if definition.get("additionalProperties") is False
    }
    for name, structure in generated.STRUCTURES.items():
        if name in definitions:
            assert {field.name for field in structure.fields} == definitions[name], name
    assert not set(generated.STRUCTURES) - set(definitions) - {"measInfoId", "measResult", "measTypes"}


def test_the_json_schema_printed_accepts_what_is_accepted() -> None:
    jsonschema.Draft202012Validator(ves.json_schema()).validate(measurement("m-1"))


@pytest.mark.parametrize("levels", [ves.MAX_NESTED, ves.MAX_NESTED + 1])
def test_structures_nest_as_deep_as_allowed(levels: int) -> None:
    inner: dict[str, Any] = {"objectName": "o", "objectInstances": []}
    for _ in range(levels - 1):
        inner = {"objectName": "o", "objectInstances": [{"jsonObject": inner}]}
    document: Any = measurement("m-1")
    document["event"]["measurementFields"]["additionalObjects"] = [inner]
    assert ours(document) == (levels <= ves.MAX_NESTED)


@pytest.mark.parametrize("levels", [ves.MAX_DEPTH, ves.MAX_DEPTH + 1, 100_000])
def test_objects_of_free_form_nest_as_deep_as_allowed(levels: int) -> None:
    body = json.dumps(measurement("m-1"))
    text = '{"a":' * levels + "1" + "}" * levels
    body = body.replace('"commonEventHeader": {', '"commonEventHeader": {"internalHeaderFields": ' + text + ",", 1)
    if levels <= ves.MAX_DEPTH:
        ves.single.decode(body.encode())
    else:
        with pytest.raises((msgspec.ValidationError, RecursionError)):
            ves.single.decode(body.encode())


def test_a_definition_that_cannot_be_read_names_its_line() -> None:
    with pytest.raises(ValueError, match="line 2"):
        notation.parse("# head\n  text: field\n")
    with pytest.raises(ValueError, match=r"\$unknown"):
        notation.parse("event\n  $unknown: field\n")
