"""What the scaling measurement sends to the mobile nodes: TCP as fast as it goes (iperf3), UDP at a rate (`steady`)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from closedloop_tools.lab import Lab

PORT = 5300
"""TCP and UDP port of the first mobile node; the others follow."""
SATURATED_S = 5
_STREAMS = "16"
_WINDOW = "50K"
"""Of each stream. They fill the link and fit its queue, so that nothing is lost: then a share is as large as its window, and all have one
size. Many small ones reach their window at once and even out what is left of chance."""
_CONGESTION = "cubic"
"""Their control (RFC 9438), whatever the machine's default is: BBR paces each stream by what it once measured, and shares by chance."""
_START_S = "2"
"""Not counted: the time in which the streams' windows open."""
_STEADY = (sys.executable, "-m", "closedloop_tools.measure.steady")


class Servers:
    """What receives in the namespace of each mobile node, at its home address. A context manager."""

    def __init__(self, lab: Lab, mobile_nodes: tuple[str, ...]) -> None:
        self._lab = lab
        self.ports = {name: PORT + number for number, name in enumerate(mobile_nodes)}
        self._stack = ExitStack()

    def __enter__(self) -> Servers:
        for name, port in self.ports.items():
            argv = ["iperf3", "--server", "--bind", self._lab.home_address(name), "--port", str(port)]
            self._stack.enter_context(_running(_inside(self._lab.namespace(name), argv)))
            argv = [*_STEADY, "receive", self._lab.home_address(name), str(port)]
            self._stack.enter_context(_running(_inside(self._lab.namespace(name), argv)))
            _wait_until_it_listens(self._lab.namespace(name), port)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def saturate(self) -> dict[str, float]:
        """Mbit/s that each mobile node receives over TCP while all do. Raises RuntimeError."""
        started = {
            name: _start(self._client(name, "--time", str(SATURATED_S), "--omit", _START_S, "--parallel", _STREAMS, "--window", _WINDOW))
            for name in self.ports
        }
        return {name: _received_mbps(name, process) for name, process in started.items()}

    @contextmanager
    def loaded(self, mbps: Mapping[str, float]) -> Iterator[None]:
        """UDP at a rate to each mobile node, for as long as the context lasts."""
        with ExitStack() as stack:
            for name, rate in mbps.items():
                argv = [*_STEADY, "send", self._lab.home_address(name), str(self.ports[name]), "--mbps", str(rate)]
                stack.enter_context(_running(_inside(self._lab.namespace("cn"), argv)))
            yield

    def _client(self, mobile_node: str, *options: str) -> list[str]:
        target = ["--client", self._lab.home_address(mobile_node), "--port", str(self.ports[mobile_node])]
        argv = ["iperf3", "--json", "--connect-timeout", "5000", "--congestion", _CONGESTION, *target, *options]
        return _inside(self._lab.namespace("cn"), argv)


def _inside(namespace: str, argv: list[str]) -> list[str]:
    """It ends with this process."""
    return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", namespace, *argv]


def _start(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _received_mbps(mobile_node: str, process: subprocess.Popen[str]) -> float:
    output, _ = process.communicate(timeout=SATURATED_S + 30)
    try:
        result = json.loads(output)
    except ValueError:
        result = {"error": output[-200:]}
    if "error" in result:
        raise RuntimeError(f"iperf3 to {mobile_node}: {result['error']}")
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e6


def _wait_until_it_listens(namespace: str, port: int) -> None:
    """Raises RuntimeError after 5 s. A connection would be a test for iperf3, so the kernel's list is read."""
    end = time.monotonic() + 5
    ask = _inside(namespace, ["ss", "--no-header", "--listening", "--tcp", "--numeric", f"sport = :{port}"])
    while not subprocess.run(ask, check=True, capture_output=True).stdout:
        if time.monotonic() > end:
            raise RuntimeError(f"{namespace}: iperf3 does not listen at port {port} after 5 s")
        time.sleep(0.02)


@contextmanager
def _running(argv: list[str]) -> Iterator[None]:
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
