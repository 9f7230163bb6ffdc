"""The commands that the measuring playbooks call."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from closedloop_tools.lab import Lab
from closedloop_tools.measure import failover, failover_report, runs, scaling, scaling_report
from closedloop_tools.measure.runs import Record

NAMES = ("failover", "scaling")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.measure", description="Measure the closed loop, run by run.")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of all reports (reports)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, series, text in (
        ("failover", failover.SERIES, "one failover"),
        ("scaling", scaling.SERIES, "one scale-out and the scale-in after it"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument(
            "--extra-vars", type=json.loads, default={}, metavar="JSON", help="what the lab was made with; lab_name is cl else"
        )
        one.add_argument("--series", choices=series, default=series[0])
        one.add_argument("--run", type=int, default=1, help="number of the run")
    for verb, text in (("begin", "forget the runs of an earlier measurement"), ("report", "write the report of the runs so far")):
        commands.add_parser(verb, help=text).add_argument("name", choices=NAMES)
    options = parser.parse_args(arguments)
    if options.command in NAMES:
        return _run(options.reports / options.command, options)
    folder: Path = options.reports / options.name
    if options.command == "begin":
        runs.begin(folder)
        return 0
    report = failover_report if options.name == "failover" else scaling_report
    print(f"page: {report.write(folder)}   figures: {folder / 'result.json'}")
    print("\n".join(report.missed(folder)) or "every aim is met")
    return 0


def _run(folder: Path, options: argparse.Namespace) -> int:
    """A run that fails is a result too: the measurement goes on."""
    measure = failover.run if options.command == "failover" else scaling.run
    lab = Lab(**{"name" if name == "lab_name" else name: value for name, value in ({"lab_name": "cl"} | options.extra_vars).items()})
    record = measure(lab, options.series, options.run)
    runs.add(folder, record)
    print(f"{options.series}, run {options.run}: {_told(record)}", flush=True)
    return 0


def _told(record: Record) -> str:
    if record["failed"]:
        return f"FAILED: {record['error']}"
    if "service_outage_s" in record:
        return f"traffic gone for {record['service_outage_s']:.3f} s"
    return (
        f"mn1 {record['mn1_gain_percent']:+.1f} %, mn2 {record['mn2_gain_percent']:+.1f} %, {record['moved_lost_packets']} packets lost, "
        f"{record['scale_out_first_packet_s']:.2f} s to the first packet"
    )


if __name__ == "__main__":
    sys.exit(main())
