"""The report of playbooks/measure_provision.yml: how long making a project took, against what the cloud alone would have taken.

    python -m closedloop_tools.provisioning reports < results.json

`results.json` has the results of the module openstack_project: `one_at_a_time`, `first` and `again`. What a call waits for grows with the
calls beside it, so the cloud's own time is taken from the run that made one thing after the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from closedloop_tools.report import at_most, write_report

Times = dict[str, Any]


def run_of(one_at_a_time: Times, first: Times, again: Times) -> dict[str, str | float]:
    """One flat record."""
    figures: dict[str, str | float] = {
        "provision_ms": first["wall_ms"],
        "provision_one_at_a_time_ms": one_at_a_time["wall_ms"],
        "cloud_alone_ms": one_at_a_time["api_ms"],
        "provision_to_cloud_ratio": first["wall_ms"] / one_at_a_time["api_ms"],
        "second_run_ms": again["wall_ms"],
        "second_to_first_run_ratio": again["wall_ms"] / first["wall_ms"],
    }
    for kind, entry in sorted(one_at_a_time["kinds"].items()):
        figures[f"{kind}_cloud_ms"] = entry["api_ms"]
        figures[f"{kind}_own_ms"] = entry["own_ms"]
    return figures


def main(folder: Path, results: dict[str, Any]) -> str:
    """Writes the report and returns what to print."""
    if results["again"]["changed"]:
        raise SystemExit(f"the second run changed something: {results['again']['steps']}")
    run = run_of(*(results[name]["times"] for name in ("one_at_a_time", "first", "again")))
    aims = {"provision_to_cloud_ratio": at_most(1.5), "second_to_first_run_ratio": at_most(1 / 3)}
    write_report("provision", [run], aims=aims, directory=folder)
    return "\n".join(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}" for name, value in run.items())


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), json.load(sys.stdin)))
