"""Part `forwarding`: TCP through the tunnel against plain routing, with one binding and with 10 000, and how fast 10 000 are pushed.

Every repetition takes, one after another and in both directions, plain routing (HA-PP stopped, so its guard is gone from the kernel), the
tunnel with one binding, and the tunnel with 10 000. All go through the same namespaces, links and hops (testbed.py). The mobile node is the
real daemon; it stays bound all the time, as HA-B's two databases both hold its binding.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from closedloop_nf.runtime.addresses import from_text

from closedloop_tools.bench import functions, nodes, testbed
from closedloop_tools.bench.functions import Function, Functions
from closedloop_tools.bench.testbed import Testbed
from closedloop_tools.report import Value

BINDINGS = 10_000
REPETITIONS = 7
STREAM_S = 2
HOME_ADDRESS = "2001:db8:100::2"
SPI = 2000


def measure(folder: Path) -> list[dict[str, Value]]:
    """One run per repetition, with the throughputs, their ratios, push time and memory."""
    with Testbed() as bed, _router_advertisements(bed, folder), _iperf_server(bed):
        work = Functions(bed, folder)
        one, many = folder / "one.sqlite", folder / "many.sqlite"
        nodes.store_associations(one, b"", 0, {from_text(HOME_ADDRESS): (SPI, work.mobile_key)})
        with _home_agent(work, one):
            mobile_node = work.mobile_node(HOME_ADDRESS, SPI)
        try:
            shutil.copy(one, many)
            nodes.store_associations(many, secrets.token_bytes(16), BINDINGS - 1)
            nodes.store_bindings(many, BINDINGS - 1, functions.NAME)
            return [_repetition(bed, work, one, many) for _ in range(REPETITIONS)]
        finally:
            mobile_node.stop()


def _repetition(bed: Testbed, work: Functions, one: Path, many: Path) -> dict[str, Value]:
    plain = _both_directions(bed, testbed.MOBILE_NODE_PLAIN)
    with _home_agent(work, one):
        tunnel = _both_directions(bed, HOME_ADDRESS)
    with _home_agent(work, many) as (backend, packet_processor):
        push_s = _pushed_s(work)
        crowded = _both_directions(bed, HOME_ADDRESS)
        memory = {"bindings_10k_ha_b_rss_mb": backend.rss_mb(), "bindings_10k_ha_pp_rss_mb": packet_processor.rss_mb()}
    return {
        "part": "forwarding",
        "plain_to_mn_mbit_per_s": plain[0],
        "plain_from_mn_mbit_per_s": plain[1],
        "tunnel_to_mn_mbit_per_s": tunnel[0],
        "tunnel_from_mn_mbit_per_s": tunnel[1],
        "bindings_10k_to_mn_mbit_per_s": crowded[0],
        "bindings_10k_from_mn_mbit_per_s": crowded[1],
        "tunnel_throughput_ratio": sum(tunnel) / sum(plain),
        "bindings_10k_throughput_ratio": sum(crowded) / sum(tunnel),
        "bindings_10k_push_s": push_s,
        **memory,
    }


@contextmanager
def _home_agent(work: Functions, database: Path) -> Iterator[tuple[Function, Function]]:
    """HA-B on `database` and a fresh HA-PP."""
    backend = work.backend(database)
    try:
        packet_processor = work.packet_processor()
        try:
            yield backend, packet_processor
        finally:
            packet_processor.stop()
    finally:
        backend.stop()


def _pushed_s(work: Functions) -> float:
    """From the HA-PP's Hello to its Synced, as HA-B saw them: all bindings sent, and applied in the HA-PP's kernel."""
    at = {event["kind"]: event["wall"] for event in work.events() if event["name"] == functions.NAME}
    return float(at["ready"] - at["hello"])


def _both_directions(bed: Testbed, address: str) -> tuple[float, float]:
    """TCP throughput to and from the mobile node at `address`, Mbit/s as the receiver counts them."""
    return _stream(bed, address, "--reverse"), _stream(bed, address)


def _stream(bed: Testbed, address: str, *options: str) -> float:
    argv = ["iperf3", "--json", "--time", str(STREAM_S), "--bind", address, "--client", testbed.CORRESPONDENT, *options]
    done = subprocess.run(bed.command("mn", *argv), stdout=subprocess.PIPE, text=True, timeout=STREAM_S + 20, check=False)
    result = json.loads(done.stdout)
    if "error" in result:
        raise RuntimeError(f"iperf3 between {address} and {testbed.CORRESPONDENT}: {result['error']}")
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e6


@contextmanager
def _iperf_server(bed: Testbed) -> Iterator[None]:
    with _running(bed.command("cn", "iperf3", "--server", "--bind", testbed.CORRESPONDENT)):
        yield


@contextmanager
def _router_advertisements(bed: Testbed, folder: Path) -> Iterator[None]:
    config = folder / "radvd.conf"
    config.write_text(
        "interface visited { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; prefix 2001:db8:1::/64 { }; };\n",
        encoding="ascii",
    )
    with _running(bed.command("router", "radvd", "--nodaemon", "--config", str(config), "--pidfile", str(folder / "radvd.pid"))):
        yield


@contextmanager
def _running(argv: list[str]) -> Iterator[None]:
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
