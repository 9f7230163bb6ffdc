"""`closedloop replay`: tune a policy on recorded events before it acts."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from closedloop_loop.availability.quantities import duration
from closedloop_loop.commands.operations import moment
from closedloop_loop.policy.load import load_inventory, load_policy
from closedloop_loop.replay.picture import draw
from closedloop_loop.replay.read import records
from closedloop_loop.replay.run import Replay
from closedloop_loop.table import table

SUMMARY: Final = "Show which onsets and operations a policy would have caused on recorded events."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("events", type=Path, metavar="EVENTS.jsonl", help="VES events, one JSON object a line, as the source records them")
    parser.add_argument("--policy", required=True, metavar="FILE", help="policy file")
    parser.add_argument(
        "--inventory", metavar="FILE", help="regions and modules (YAML); without it no region is chosen and instances are not counted"
    )
    parser.add_argument("--operation", default="1s", metavar="DURATION", help="how long an operation takes (1s)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the timeline (.png or .svg)")
    parser.add_argument("--json", action="store_true", help="as a JSON object")


def run(args: argparse.Namespace) -> int:
    policy = load_policy(args.policy)
    inventory = None if args.inventory is None else load_inventory(args.inventory)
    replay = Replay(policy, inventory, duration(args.operation, "--operation"))
    rejected: Counter[str] = Counter()
    replay.run(records(args.events, rejected))
    left_out = 0
    if args.picture is not None:
        left_out = draw(replay.happenings, replay.operations, replay.span_us or (0, 0), args.picture)
    if args.json:
        print(json.dumps(as_map(replay, rejected), indent=2))
    else:
        print(text(replay, rejected))
        if left_out:
            print(f"the picture leaves out {left_out} quieter loops and targets")
    return 0


def as_map(replay: Replay, rejected: Counter[str]) -> dict[str, object]:
    """What --json prints."""
    return {
        "records": replay.records,
        "rejected": dict(rejected),
        "happenings": msgspec.to_builtins(replay.happenings),
        "operations": msgspec.to_builtins(replay.operations),
    }


def text(replay: Replay, rejected: Counter[str]) -> str:
    """For people."""
    rows = [(moment(event.at_us), event.loop, event.target, event.what.upper(), event.detail) for event in replay.happenings]
    counts = Counter(event.what for event in replay.happenings)
    states = Counter(operation.state.value for operation in replay.operations)
    parts = [table(("TIME", "LOOP", "TARGET", "WHAT", "WHY"), rows)] if rows else []
    parts.append(
        f"{replay.records} records: {counts['onset']} onsets, {counts['abated']} abated, {len(replay.operations)} operations"
        + (f" ({', '.join(f'{count} {state}' for state, count in sorted(states.items()))})" if states else "")
    )
    if rejected:
        parts.append(table(("NOT USED", "WHY"), [(str(count), reason) for reason, count in rejected.most_common(20)]))
    return "\n\n".join(parts)
