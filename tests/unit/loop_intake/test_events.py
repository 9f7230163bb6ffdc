"""From bodies to entries of the journal."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from closedloop_loop.intake import events
from closedloop_loop.intake.events import Refused
from closedloop_tools.ves_source.load import measurement
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.loop_intake import generated

BODY = json.dumps(measurement("m-1")).encode()


def header(**changes: Any) -> dict[str, Any]:
    document: Any = measurement("m-1")
    document["event"]["commonEventHeader"].update(changes)
    return document["event"]  # type: ignore[no-any-return]


def refusal(body: bytes | str, decode: Any = events.single) -> str:
    with pytest.raises(Refused) as caught:
        decode(body.encode() if isinstance(body, str) else body)
    return caught.value.message_id + " " + caught.value.reason


def test_an_event_is_kept_as_it_was_meant() -> None:
    [entry] = events.single(BODY)
    assert json.loads(entry.body) == json.loads(BODY)


def test_the_key_is_of_source_id_and_sequence_and_of_nothing_else() -> None:
    def key(**changes: Any) -> bytes:
        return events.single(json.dumps({"event": header(**changes)}).encode())[0].key

    assert key(priority="High", lastEpochMicrosec=7) == key()
    assert len({key(), key(eventId="m-2"), key(sequence=1), key(sourceName="ha-pp-b")}) == 4
    assert key(sourceName='a","b', eventId="c") != key(sourceName="a", eventId='b","c')


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "SVC0002 json"),
        (b"{", "SVC0002 json"),
        (b"{}", "SVC0002 schema"),
        (b"[]", "SVC0002 schema"),
        (b"null", "SVC0002 schema"),
        (BODY + b" x", "SVC0002 json"),
        (BODY + BODY, "SVC0002 json"),
        (BODY[:-1], "SVC0002 json"),
        (b"\xef\xbb\xbf" + BODY, "SVC0002 json"),
        (BODY.replace(b"m-1", b"m-\xff"), "SVC0002 json"),
        (BODY.replace(b"m-1", b"m-\\ud800"), "SVC0002 json"),
        (BODY.replace(b'"sequence": 0', b'"sequence": NaN'), "SVC0002 json"),
        (BODY.replace(b'"sequence": 0', b'"sequence": 1e999'), "SVC0002 schema"),
        (BODY.replace(b'"sequence": 0', b'"sequence": ' + b"9" * 30), "SVC0002 schema"),
        (BODY.replace(b'"sequence": 0', b'"sequence": ' + b"9" * 100_000), "SVC0002 schema"),
        (BODY.replace(b'"sequence": 0', b'"sequence": true'), "SVC0002 schema"),
        (BODY.replace(b'"sequence": 0', b'"sequence": 0, "sequence": 0'), "SVC0002 twice"),
        (BODY.replace(b'"m-1"', b'"m:1", "eventId" :"\\u003a"'), "SVC0002 twice"),
        (b'{"event": 1, ' + BODY[1:], "SVC0002 schema"),
        (b'{"eventList": []}', "SVC0002 schema"),
        (b"[" * 1_000_000, "SVC0002 schema"),
        (
            BODY.replace(b'"measurementFields": {', b'"measurementFields": {"x": ' + b"[" * 500_000 + b"]" * 500_000 + b",", 1),
            "SVC0002 schema",
        ),
    ],
)
def test_a_hostile_body_is_refused(body: bytes, told: str) -> None:
    assert refusal(body) == told


def test_a_batch_is_taken_as_a_whole_or_not_at_all() -> None:
    event = header()
    entries = events.batch(json.dumps({"eventList": [event, header(eventId="m-2"), event]}).encode())
    assert [entry.key for entry in entries] == [entries[0].key, entries[1].key, entries[0].key]
    assert json.loads(entries[1].body)["event"] == header(eventId="m-2")
    assert refusal(json.dumps({"eventList": []}), events.batch) == "SVC0001 domains"
    assert refusal(json.dumps({"eventList": [event, header(domain="other")]}), events.batch) == "SVC0001 domains"
    assert refusal(json.dumps({"eventList": [event, {}]}), events.batch) == "SVC0002 schema"
    assert refusal(BODY, events.batch) == "SVC0002 schema"
    assert refusal(json.dumps({"eventList": [event]})[:-1] + ', "eventList": []}', events.batch) == "SVC0001 domains"
    assert refusal('{"eventList": [], ' + json.dumps({"eventList": [event]})[1:], events.batch) == "SVC0002 twice"


def test_a_standard_defined_event_names_its_name_space() -> None:
    assert refusal(json.dumps({"event": header(domain="stndDefined")})) == "SVC2006 namespace"
    assert events.single(json.dumps({"event": header(domain="stndDefined", stndDefinedNamespace="3GPP")}).encode())


def written(value: Any, pick: Any) -> str:
    """JSON text of a value; `pick` chooses white space and how a character is written."""
    if isinstance(value, dict):
        return "{" + pick() + ",".join(f"{written(k, pick)}{pick()}:{pick()}{written(v, pick)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(each, pick) + pick() for each in value) + "]"
    return json.dumps(value, ensure_ascii=bool(pick()))


@settings(max_examples=120, deadline=None)
@given(document=generated.events, data=st.data())
def test_a_name_written_twice_is_found_wherever_it_stands_and_nothing_else_is_taken_for_it(document: Any, data: st.DataObject) -> None:
    document["event"]["commonEventHeader"].update(domain="other", eventId=data.draw(st.text(alphabet=':"\\ ax', max_size=6)))
    seed = data.draw(st.randoms(use_true_random=False))
    text = written(document, lambda: seed.choice(("", "", " ", "\n", "\t ")))
    events.single(text.encode())
    objects = [document] + [
        each for each in (_at(document, place) for place in generated.places(document)) if isinstance(each, dict) and each
    ]
    victim = data.draw(st.sampled_from(objects))
    name = data.draw(st.sampled_from(sorted(victim)))
    mark = "\x00mark"
    copied = victim[name]
    victim[mark] = copied
    doubled = written(document, lambda: seed.choice(("", " "))).replace(json.dumps(mark), written(name, lambda: ""))
    assert refusal(doubled) == "SVC0002 twice"


def _at(document: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        document = document[step]
    return document


JUNK = st.builds(lambda at, junk: BODY[:at] + junk + BODY[at:], st.integers(0, len(BODY)), st.binary(max_size=8))


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200) | JUNK, decode=st.sampled_from((events.single, events.batch)))
def test_any_octets_are_an_event_or_refused(body: bytes, decode: Any) -> None:
    with contextlib.suppress(Refused):
        assert decode(body)
