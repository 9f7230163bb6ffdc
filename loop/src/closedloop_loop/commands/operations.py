"""`closedloop operations`: what the loops have done, and the few things an operator does about it."""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from closedloop_loop.clock import MICROSECONDS, now
from closedloop_loop.errors import CommandError
from closedloop_loop.names import is_request_id
from closedloop_loop.onset import to_map
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, Refused, State
from closedloop_loop.operations.store.open import open_store
from closedloop_loop.table import table

SUMMARY: Final = "Show the operations of the control loops, acknowledge a failed one, cancel one that waits."
DEFAULT_JOURNAL: Final = "/var/lib/closedloop/operations.db"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--journal",
        default=os.environ.get("CLOSEDLOOP_JOURNAL", DEFAULT_JOURNAL),
        help="SQLite file, or a postgresql:// URL whose password is where libpq looks for it (PGPASSFILE);"
        f" CLOSEDLOOP_JOURNAL, else {DEFAULT_JOURNAL}",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = verbs.add_parser("list", help="the latest operations, the newest first (also without a verb)")
    listing.add_argument("--state", choices=[state.value for state in State])
    listing.add_argument("--target", help="only operations on it")
    listing.add_argument("--limit", type=int, default=50, help="at most so many (50)")
    listing.add_argument("--json", action="store_true", help="as a list of JSON objects")
    show = verbs.add_parser("show", help="everything about one operation")
    show.add_argument("--json", action="store_true", help="as a JSON object")
    for verb, text in (
        ("acknowledge", "a failure has been seen to: its loop may act on the target again"),
        ("cancel", "an operation that has not begun is not wanted"),
    ):
        verbs.add_parser(verb, help=text)
    for verb in ("show", "acknowledge", "cancel"):
        verbs.choices[verb].add_argument("request_id", metavar="REQUEST_ID")


def run(args: argparse.Namespace) -> int:
    if "://" not in args.journal and not os.path.exists(args.journal):  # noqa: PTH110 - it is a path or a URL
        raise CommandError(f"{args.journal}: there is no operations journal; name it by --journal or CLOSEDLOOP_JOURNAL")
    store = open_store(args.journal)
    try:
        return _verb(Journal(store), args)
    finally:
        store.close()


def _verb(journal: Journal, args: argparse.Namespace) -> int:
    if args.verb is None:
        print(listing(journal.recent(50)))
        return 0
    if args.verb == "list":
        found = journal.recent(max(0, args.limit), State(args.state) if args.state else None, args.target)
        print(json.dumps([as_map(operation) for operation in found], indent=2) if args.json else listing(found))
        return 0
    if not is_request_id(args.request_id):
        raise CommandError("REQUEST_ID: expected a UUID in lower case; `closedloop operations list` shows them")
    if args.verb == "show":
        operation = journal.get(args.request_id)
        if operation is None:
            raise CommandError(f"{args.request_id}: the journal has no such operation; `closedloop operations list` shows them")
        print(json.dumps(as_map(operation), indent=2) if args.json else details(operation))
        return 0
    command = journal.acknowledge if args.verb == "acknowledge" else journal.cancel
    answer = command(args.request_id, now())
    if isinstance(answer, Refused):
        raise CommandError(f"{args.request_id}: {answer.reason}")
    return 0


def as_map(operation: Operation) -> dict[str, Any]:
    """The operation as JSON values; `onset` is the control loop message."""
    return {**msgspec.to_builtins(operation), "onset": to_map(operation.onset)}


def listing(operations: list[Operation]) -> str:
    """A line each."""
    head = ("ACCEPTED", "LOOP", "TARGET", "ACTION", "REGION", "STATE", "TOOK", "ABATED", "REQUEST ID")
    return table(
        head,
        [
            (
                moment(operation.created_us),
                operation.loop,
                operation.target,
                operation.action or "-",
                operation.region or "-",
                f"{operation.state} ({operation.guard})" if operation.state is State.DENIED else operation.state,
                took(operation),
                "yes" if operation.abated_us is not None else "no",
                operation.request_id,
            )
            for operation in operations
        ],
    )


def details(operation: Operation) -> str:
    """Facts, then the stages with their distance from the onset's acceptance."""
    facts = [
        ("request id", operation.request_id),
        ("loop", operation.loop),
        ("target", f"{operation.target} ({operation.onset.target_type})"),
        ("action", operation.action or "-"),
        ("region", operation.region or "-"),
        ("state", operation.state),
        ("reason", operation.reason or "-"),
        ("guard", operation.guard or "-"),
        ("attempt", f"{operation.attempt} of at most {operation.terms.retries + 1}, {operation.resumptions} resumptions"),
        ("actor", f"{operation.actor} (token {operation.token})" if operation.actor else "-"),
        ("alarm began", moment(operation.onset.alarm_start_us)),
        ("abated", "-" if operation.abated_us is None else moment(operation.abated_us)),
        ("message", operation.message or "-"),
    ]
    stages = [
        (stage.name, str(stage.attempt), moment(stage.at_us), f"{(stage.at_us - operation.created_us) / 1000:.1f}")
        for stage in operation.stages
    ]
    return f"{table(('FACT', 'VALUE'), facts)}\n\n{table(('STAGE', 'ATTEMPT', 'AT', 'MS AFTER ACCEPTED'), stages)}"


def moment(at_us: int) -> str:
    """UNIX microseconds as ISO 8601 in UTC."""
    try:
        return datetime.fromtimestamp(at_us / MICROSECONDS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):  # beyond the year 9999: an event may claim that
        return f"{at_us} us"


def took(operation: Operation) -> str:
    """From the begin of the first attempt to the end."""
    if operation.started_us is None or operation.finished_us is None:
        return "-"
    return f"{(operation.finished_us - operation.started_us) / MICROSECONDS:.3f} s"
