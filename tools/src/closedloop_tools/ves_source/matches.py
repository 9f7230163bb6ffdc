"""What a rulebook matched, from the log of an ansible-rulebook whose rule prints its events (`print_event`).

    python -m closedloop_tools.ves_source.matches --log FILE --prefix PREFIX [--sent FILE] [--wait-s 30] [--report NAME]

Prints a JSON object: how many events with this prefix were sent and are missing, how many were matched more than once, whether each was
flat and of scalars. --wait-s: until none is missing. --report: the time from the end of an event to its match, into reports/NAME/.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from closedloop_tools.report import at_most, write_report

BANNER = re.compile(r"\*\* (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) \[event\] \*+\n(\{.*\})\n")


@dataclass
class Match:
    at_s: float
    event: dict[str, Any]

    @property
    def event_id(self) -> str:
        return str(self.event["record"]["event_id"])

    @property
    def flat(self) -> bool:
        """One name beside what ansible-rulebook adds; below it nothing but typed scalars."""
        return set(self.event) == {"record", "meta"} and all(type(value) in (str, int, float) for value in self.event["record"].values())


def matches(log: str) -> Iterator[Match]:
    for time_text, event in BANNER.findall(log):
        yield Match(datetime.fromisoformat(time_text).timestamp(), ast.literal_eval(event))


def look(log: Path, prefix: str, sent: set[str]) -> tuple[list[Match], set[str]]:
    """Matches with the prefix, and what of `sent` is not among them."""
    found = [match for match in matches(log.read_text(errors="replace")) if match.event_id.startswith(f"{prefix}-")]
    return found, sent - {match.event_id for match in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--sent", type=Path, help="ids, one a line")
    parser.add_argument("--wait-s", type=float, default=0.0)
    parser.add_argument("--report", metavar="NAME")
    options = parser.parse_args()
    sent = set(options.sent.read_text().split()) if options.sent else set()
    deadline = time.monotonic() + options.wait_s
    found, missing = look(options.log, options.prefix, sent)
    while missing and time.monotonic() < deadline:
        time.sleep(0.2)
        found, missing = look(options.log, options.prefix, sent)
    ids = [match.event_id for match in found]
    result = {
        "sent": len(sent),
        "matched": len(set(ids)),
        "missing": sorted(missing),
        "again": len(ids) - len(set(ids)),
        "flat": all(match.flat for match in found),
    }
    if options.report:
        runs = [
            {"event_id": match.event_id, "event_to_match_ms": match.at_s * 1e3 - match.event["record"]["time_us"] / 1e3} for match in found
        ]
        write_report(options.report, runs, aims={"event_to_match_ms": at_most(15)})
        result["median_ms"] = sorted(run["event_to_match_ms"] for run in runs)[len(runs) // 2]
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
