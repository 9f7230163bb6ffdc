"""Part `registrations`: how many home registrations one core takes, and how long one waits for its acknowledgement.

HA-PP and HA-B share one core; the load generator has another one. Binding Updates are authenticated (RFC 4285), every acknowledgement means
that the binding is on disk (SQLite, synchronous=FULL, group commit). Duplicate address detection, a wait of RetransTimer per new home
address, is off; first registrations are counted apart from refreshes.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from closedloop_tools.bench import nodes
from closedloop_tools.bench.functions import Functions
from closedloop_tools.bench.testbed import Testbed
from closedloop_tools.report import Value

NODES = 10_000
WINDOW = 192
ROUNDS, ROUND_S = 5, 4.0
RATE, PACED_S = 200.0, 10.0


def measure(folder: Path) -> list[dict[str, Value]]:
    """Runs with registrations_per_s, bu_ba_ms and the memory of 10 000 bindings that came by registration."""
    cores = sorted(os.sched_getaffinity(0))
    with Testbed() as bed:
        functions = Functions(bed, folder, cores[:1])
        master = secrets.token_bytes(16)
        database = folder / "registrations.sqlite"
        nodes.store_associations(database, master, NODES)
        backend = functions.backend(database)
        packet_processor = functions.packet_processor()
        try:
            before = backend.cpu_s(), packet_processor.cpu_s()
            result = _load(bed, master, cores[-1])
            cpu = backend.cpu_s() - before[0], packet_processor.cpu_s() - before[1]
            memory = {"bindings_10k_ha_b_rss_mb": backend.rss_mb(), "bindings_10k_ha_pp_rss_mb": packet_processor.rss_mb()}
        finally:
            packet_processor.stop()
            backend.stop()
    lost = nodes.lost_registrations(database, result["acknowledged"])
    if lost:
        raise RuntimeError(f"{lost} of {NODES} nodes hold an acknowledgement that is not in HA-B's store: the figures are worth nothing")
    return _runs(result, cpu, memory)


def _load(bed: Testbed, master: bytes, core: int) -> dict[str, Any]:
    options = {
        "interface": "eth0",
        "nodes": NODES,
        "window": WINDOW,
        "rounds": ROUNDS,
        "round-s": ROUND_S,
        "rate": RATE,
        "paced-s": PACED_S,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    argv = ["taskset", "--cpu-list", str(core), sys.executable, "-m", "closedloop_tools.bench.load", *arguments]
    done = subprocess.run(bed.command("mn", *argv), input=master.hex(), check=True, stdout=subprocess.PIPE, text=True, timeout=240)
    return dict(json.loads(done.stdout))


def _runs(result: dict[str, Any], cpu_s: tuple[float, float], memory: dict[str, float]) -> list[dict[str, Value]]:
    """One record per phase and round; the paced phase has one per acknowledgement, as its figure is the single wait."""
    first, full, paced = result["first"], result["full"], result["paced"]
    accepted = first["accepted"] + paced["accepted"] + sum(tally["accepted"] for tally in full)
    runs: list[dict[str, Value]] = [
        {
            "part": "registrations",
            "phase": "first registration of every node",
            "first_registrations_per_s": first["accepted"] / first["seconds"],
            "ha_b_cpu_per_registration_us": cpu_s[0] / accepted * 1e6,
            "ha_pp_cpu_per_registration_us": cpu_s[1] / accepted * 1e6,
            **_outcome(first),
            **memory,
        }
    ]
    runs += [
        {"part": "registrations", "phase": "refreshes", "registrations_per_s": tally["accepted"] / tally["seconds"], **_outcome(tally)}
        for tally in full
    ]
    runs += [{"part": "registrations", "phase": f"{RATE:g} per second", "bu_ba_ms": wait} for wait in paced["latencies_ms"]]
    runs.append({"part": "registrations", "phase": f"{RATE:g} per second", **_outcome(paced)})
    return runs


def _outcome(tally: dict[str, Any]) -> dict[str, Value]:
    return {"binding_updates_refused": tally["refused"], "binding_updates_lost": tally["lost"]}
