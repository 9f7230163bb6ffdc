"""From the body of a request to events that may be stored, or to the reason why not. Pure; nothing of a refused body is kept or logged."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import UNSET

from closedloop_loop.journal.messages import Entry
from closedloop_loop.schemas import ves

KEY_OCTETS: Final = 16
STANDARD_DEFINED: Final = "stndDefined"


class Refused(Exception):
    """A body that is not accepted. message_id, text: of the requestError (VES Event Listener 7.2, exceptions)."""

    def __init__(self, message_id: str, text: str, reason: str) -> None:
        """reason: short name for the metrics."""
        super().__init__(text)
        self.message_id, self.text, self.reason = message_id, text, reason


def single(body: bytes) -> list[Entry]:
    """The event of `POST /eventListener/v7`. Raises Refused."""
    event = _decode(ves.single, body).event
    entry = _entry(event)
    _refuse_duplicates(body, entry.body.count(b":"))
    _check_namespace(event)
    return [entry]


def batch(body: bytes) -> list[Entry]:
    """The events of `POST /eventListener/v7/eventBatch`; one bad event refuses them all. Raises Refused."""
    events = _decode(ves.batch, body).eventList
    if len({event.commonEventHeader.domain for event in events}) != 1:
        raise Refused("SVC0001", "Different value of domain fields in Batch Event", "domains")
    entries = [_entry(event) for event in events]
    # Every entry has the key "event" of its own; the body has the one key "eventList".
    _refuse_duplicates(body, sum(entry.body.count(b":") for entry in entries) - len(entries) + 1)
    for event in events:
        _check_namespace(event)
    return entries


def _decode(decoder: Any, body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise Refused("SVC0002", "Bad Parameter (JSON does not conform to schema)", "schema") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("SVC0002", "Bad Parameter (Incorrect JSON payload)", "json") from None
    except RecursionError:
        raise Refused("SVC0002", "Bad Parameter (JSON nests too deep)", "depth") from None


def _entry(event: Any) -> Entry:
    header = event.commonEventHeader
    identity = msgspec.json.encode((header.sourceName, header.eventId, header.sequence))
    body = b'{"event":' + msgspec.json.encode(event) + b"}"
    return Entry(blake2b(identity, digest_size=KEY_OCTETS).digest(), body, header.sourceName)


def _refuse_duplicates(body: bytes, colons: int) -> None:
    """RFC 8259 leaves open what a name written twice in an object means, so nobody may depend on it: such a body is refused.

    colons: in the decoded body, encoded again, which has every name once. Without escapes its strings are those of the body, so both have
    the same number of colons unless the body has a name more. Where there are escapes the names are compared one by one.
    """
    if b"\\" not in body and body.count(b":") == colons:
        return
    try:
        json.loads(body, object_pairs_hook=_unique)
    except _Twice:
        raise Refused("SVC0002", "Bad Parameter (a name is written twice in a JSON object)", "twice") from None
    except (ValueError, RecursionError):
        raise Refused("SVC0002", "Bad Parameter (Incorrect JSON payload)", "json") from None


class _Twice(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice


def _check_namespace(event: Any) -> None:
    header = event.commonEventHeader
    if header.domain == STANDARD_DEFINED and header.stndDefinedNamespace in (UNSET, ""):
        raise Refused("SVC2006", "Mandatory input attribute event.commonEventHeader.stndDefinedNamespace is missing or empty", "namespace")
