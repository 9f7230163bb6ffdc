"""What is done to the lab: kill -9, a process that hangs, a link that is cut; and the schedule of a few of them at random moments."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces

from tests.faults.lab import HA_B, VISITED, Lab, Service

_TABLE = "inet closedloop_faults"
_VERDICTS = {"silent": "drop", "reset": "reject with tcp reset"}
LONGER_THAN_LEASE_S = (2.2, 3.2)
SHORT_S = (0.02, 0.6)


@dataclass(frozen=True)
class Kill:
    """kill -9. Its supervisor starts it again."""

    service: Service

    @property
    def kind(self) -> str:
        return f"kill_{self.service.program}"

    def begin(self, lab: Lab) -> bool:
        """Returns when the process is gone."""
        if not lab.signal(self.service, signal.SIGKILL):
            return False
        deadline = time.monotonic() + 10
        while lab.record(self.service) is not None:
            assert time.monotonic() < deadline, f"{self.service} outlives SIGKILL"
            time.sleep(0.001)
        return True

    def end(self, lab: Lab) -> None:
        lab.supervise()


@dataclass(frozen=True)
class Hang:
    """SIGSTOP for a while: alive, deaf and dumb, and then it goes on as if nothing had been."""

    service: Service

    @property
    def kind(self) -> str:
        return f"hang_{self.service.program}"

    def begin(self, lab: Lab) -> bool:
        return lab.signal(self.service, signal.SIGSTOP) != 0

    def end(self, lab: Lab) -> None:
        lab.signal(self.service, signal.SIGCONT)


@dataclass(frozen=True)
class Cut:
    """Nothing of the host's connections to a port passes for a while; without a port, to HA-B's for HA-PPs. `reset`: and they are reset."""

    host: str
    how: str
    port: int | None = None

    @property
    def kind(self) -> str:
        return f"cut_{'link' if self.port is None else 'events'}_{self.how}"

    def begin(self, lab: Lab) -> bool:
        port = int(lab.config("ha-b", "ha-b.yml")["link"]["port"]) if self.port is None else self.port
        rules = f"""
            add table {_TABLE}
            add chain {_TABLE} incoming {{ type filter hook input priority 0; }}
            add chain {_TABLE} outgoing {{ type filter hook output priority 0; }}
            add rule {_TABLE} incoming tcp sport {port} {_VERDICTS[self.how]}
            add rule {_TABLE} outgoing tcp dport {port} {_VERDICTS[self.how]}
        """
        return _nft(lab.namespace(self.host), rules)

    def end(self, lab: Lab) -> None:
        _nft(lab.namespace(self.host), f"add table {_TABLE}\ndelete table {_TABLE}")


Injection = Kill | Hang | Cut


def _nft(namespace: str, commands: str) -> bool:
    """False where there is no such namespace."""
    if not namespaces.exists(namespace):
        return False
    with namespaces.entered(namespace):
        subprocess.run(["nft", "-f", "-"], input=commands, text=True, check=True, capture_output=True)
    return True


class Step(NamedTuple):
    """Something to do, in seconds from the beginning of a batch."""

    at_s: float
    do: Callable[[], None]


def choose(rng: random.Random, lab: Lab) -> tuple[Injection, float]:
    """An injection and how long it lasts."""
    packet_processor = Service(rng.choice(lab.placed()), "ha-pp")
    mobile_node = Service(rng.choice(lab.mobile_nodes), "mobile-node")
    roll = rng.random()
    if roll < 0.30:
        return Kill(packet_processor), rng.uniform(0.0, 0.4)
    if roll < 0.54:
        return Kill(HA_B), rng.uniform(0.0, 0.4)
    if roll < 0.78:
        return Kill(mobile_node), rng.uniform(0.0, 0.4)
    duration_s = rng.uniform(*(LONGER_THAN_LEASE_S if rng.random() < 0.25 else SHORT_S))
    if roll < 0.85:
        return Hang(packet_processor), duration_s
    if roll < 0.89:
        return Hang(HA_B), duration_s
    return Cut(packet_processor.host, rng.choice(sorted(_VERDICTS))), duration_s


def moves(rng: random.Random, lab: Lab) -> Iterator[tuple[float, str, str]]:
    """(when, mobile node, link): handovers between the visited links, so that there are registrations to be lost."""
    for node in lab.mobile_nodes:
        if rng.random() < 0.6:
            (other,) = set(VISITED) - {lab.at[node]}
            yield rng.uniform(0.0, 0.8), node, other
