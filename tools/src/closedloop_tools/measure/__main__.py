"""The commands that the measuring playbooks call."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from closedloop_tools.lab import Lab
from closedloop_tools.measure import failover, failover_report, runs


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.measure", description="Measure the closed loop, run by run.")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of all reports (reports)")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("failover", help="one failover")
    one.add_argument("--lab", default="cl", help="name of the lab (cl)")
    one.add_argument("--series", choices=failover.SERIES, default="loop")
    one.add_argument("--run", type=int, default=1, help="number of the run")
    for verb, text in (("begin", "forget the runs of an earlier measurement"), ("report", "write the report of the runs so far")):
        commands.add_parser(verb, help=text).add_argument("name", choices=["failover"])
    options = parser.parse_args(arguments)
    if options.command == "failover":
        return _failover(options.reports / "failover", options)
    folder: Path = options.reports / options.name
    if options.command == "begin":
        runs.begin(folder)
        return 0
    print(f"page: {failover_report.write(folder)}   figures: {folder / 'result.json'}")
    missed = failover_report.missed(folder)
    print("\n".join(missed) if missed else "every aim is met")
    return 0


def _failover(folder: Path, options: argparse.Namespace) -> int:
    record = failover.run(Lab(options.lab), options.series, options.run)
    runs.add(folder, record)
    told = f"FAILED: {record['error']}" if record["failed"] else f"traffic gone for {record['service_outage_s']:.3f} s"
    print(f"{options.series}, run {options.run}: {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
