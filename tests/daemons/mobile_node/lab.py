"""A throw-away Mobile IPv6 network in namespaces: two visited links and the home link on a router, a scripted home agent, a correspondent.

    mn -- eth0 ~ port of a bridge in `fabric` (visited1 | visited2 | home) -- r -- up0 home agent -- cn0 correspondent

The router advertises every 30 to 70 ms (RFC 6275 section 7.5) by radvd. Namespaces carry the test process's number and are removed
whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.daemons.unprivileged import AT_START, SETPRIV, USER, folder_of_user, late_imports, watched

HOME_ADDRESS = "2001:db8:a::100"
AGENT, AGENT2 = "2001:db8:a0::1", "2001:db8:a0::2"
CORRESPONDENT = "2001:db8:c::1"
KEY = "00112233445566778899aabbccddeeff00112233"
SPI = 1000
LINKS = {"visited1": "2001:db8:1::", "visited2": "2001:db8:2::", "home": "2001:db8:a::"}

T = TypeVar("T")

RADVD = """
interface {name} {{ AdvSendAdvert on; MinRtrAdvInterval 0.03; MaxRtrAdvInterval 0.07; AdvIntervalOpt on; AdvDefaultLifetime 60;
 MinDelayBetweenRAs 0.03; prefix {prefix}/64 {{ AdvOnLink on; AdvAutonomous on; {lifetimes} }}; }};
"""
SHORT_S = 40
"""Valid lifetime of the addresses of the link `visited2`."""
LIFETIMES = {"visited2": f"AdvValidLifetime {SHORT_S}; AdvPreferredLifetime {SHORT_S};"}


def until(what: str, probe: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Poll until `probe` gives something; fails with `what` when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Lab:
    """The network. `close` removes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder_of_user()
        self.prefix = f"clt{os.getpid()}-"
        self._processes: list[subprocess.Popen[Any]] = []
        self.agent: HomeAgent

    # --- commands ----------------------------------------------------------------------------------------------------

    def run(self, command: str, *, check: bool = True) -> str:
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr or done.stdout}")
        return done.stdout

    def inside(self, host: str, command: str, *, check: bool = True) -> str:
        return self.run(f"ip netns exec {self.prefix}{host} {command}", check=check)

    def ip(self, host: str, lines: str) -> None:
        """`ip` commands, one per line, in one process."""
        done = subprocess.run(["ip", "-n", self.prefix + host, "-batch", "-"], input=lines, text=True, check=False, capture_output=True)
        if done.returncode:
            raise AssertionError(f"{host}: {lines!r}: {done.stderr}")

    def start(self, host: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(["ip", "netns", "exec", self.prefix + host, *command], **options)
        self._processes.append(process)
        return process

    # --- network -----------------------------------------------------------------------------------------------------

    def build(self) -> None:
        for host in ("fabric", "r", "ha", "cn", "mn"):
            self.run(f"ip netns add {self.prefix}{host}")
            self.ip(host, "link set lo up")
        for host in ("r", "ha"):
            self.inside(host, "sysctl -qw net.ipv6.conf.all.forwarding=1")
        for host in ("r", "ha", "cn", "mn"):
            self.inside(
                host, "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.dad_transmits=0"
            )
        for name, network in LINKS.items():
            self.ip("fabric", f"link add {name} type bridge\nlink set {name} up")
            self._port("r", name, name)
            self.ip("r", f"address add {network}1/64 dev {name} nodad")
        self._wire("r", "core", "2001:db8:a0::ff/64", "ha", "up0", f"{AGENT}/64")
        self._wire("ha", "cn0", "2001:db8:c::ff/64", "cn", "eth0", f"{CORRESPONDENT}/64")
        self.ip("ha", f"address add {AGENT2}/64 dev up0 nodad\nroute add default via 2001:db8:a0::ff")
        self.ip("cn", "route add default via 2001:db8:c::ff")
        self.ip("r", f"route add 2001:db8:c::/64 via {AGENT}")
        self._port("mn", "eth0", None)
        self._advertise()
        self.agent = HomeAgent(self)

    def _port(self, host: str, device: str, bridge: str | None) -> None:
        """An interface of `host` whose other end is a port in the fabric, plugged into `bridge` or into nothing (carrier down)."""
        port = f"{host}-{device}"
        self.run(f"ip link add {device} netns {self.prefix}{host} type veth peer name {port} netns {self.prefix}fabric")
        self.ip(host, f"link set {device} up")
        if bridge is not None:
            self.ip("fabric", f"link set {port} master {bridge}\nlink set {port} up")

    def _wire(self, left: str, left_device: str, left_address: str, right: str, right_device: str, right_address: str) -> None:
        self.run(f"ip link add {left_device} netns {self.prefix}{left} type veth peer name {right_device} netns {self.prefix}{right}")
        for host, device, address in ((left, left_device, left_address), (right, right_device, right_address)):
            self.ip(host, f"address add {address} dev {device} nodad\nlink set {device} up")

    def _advertise(self) -> None:
        config = self.folder / "radvd.conf"
        texts = [RADVD.format(name=name, prefix=network, lifetimes=LIFETIMES.get(name, "")) for name, network in LINKS.items()]
        config.write_text("".join(texts))
        config.chmod(0o644)
        self.start(
            "r",
            "radvd",
            "-n",
            "-C",
            str(config),
            "-p",
            str(self.folder / "radvd.pid"),
            "-m",
            "logfile",
            "-l",
            str(self.folder / "radvd.log"),
        )

    def plug(self, link: str) -> None:
        """Move the mobile node's port to another link: carrier down, then up."""
        self.ip("fabric", f"link set mn-eth0 down\nlink set mn-eth0 master {link}\nlink set mn-eth0 up")

    def unplug(self) -> None:
        self.ip("fabric", "link set mn-eth0 down")

    def ping(self, source_host: str, target: str, *, source: str | None = None, count: int = 1) -> bool:
        """Whether all pings are answered."""
        bind = f"-I {source}" if source else ""
        done = self.inside(source_host, f"ping -6 -n -q -c {count} -i 0.02 -W 1 {bind} {target}", check=False)
        return f" {count} received" in done

    def close(self) -> None:
        # The last started first: a mobile node still deregisters at its home agent.
        for process in reversed(self._processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()
                process.wait()
        for host in ("fabric", "r", "ha", "cn", "mn"):
            self.run(f"ip netns delete {self.prefix}{host}", check=False)
        late = late_imports(self.state)
        shutil.rmtree(self.state)
        assert late == [], "an unprivileged mobile-node cannot import what only root can read"


class HomeAgent:
    """The scripted home agent (home_agent.py) as a process in its namespace."""

    def __init__(self, lab: Lab) -> None:
        script = Path(__file__).with_name("home_agent.py")
        self._log = lab.folder / "home_agent.jsonl"
        with self._log.open("w") as log:
            self._process = lab.start(
                "ha", sys.executable, str(script), AGENT, AGENT2, HOME_ADDRESS, str(SPI), KEY, stdin=subprocess.PIPE, stdout=log, text=True
            )
        until("home agent is ready", lambda: self.seen("ready"))

    def command(self, **command: Any) -> None:
        """`behave={"<address>": "<how>"}` or `switch={"from": ..., "to": [...]}`; see home_agent.py."""
        assert self._process.stdin is not None
        before = len(self.seen("commanded"))
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        until("home agent took the command", lambda: len(self.seen("commanded")) > before)

    def seen(self, name: str) -> list[dict[str, Any]]:
        return [record for record in read_lines(self._log) if record["name"] == name]


class MobileNode:
    """The daemon under test: starts as root below a folder of root's, becomes USER with the two capabilities it needs."""

    def __init__(self, lab: Lab, **changes: Any) -> None:
        self.lab = lab
        self.events_file = lab.state / "events.jsonl"
        key = lab.folder / "key"
        key.write_text(KEY)
        key.chmod(0o600)
        values: dict[str, Any] = {
            "home_address": HOME_ADDRESS,
            "home_prefix": "2001:db8:a::/64",
            "home_agents": [AGENT, AGENT2],
            "interfaces": ["eth0"],
            "spi": SPI,
            "key_file": str(key),
            "events": str(self.events_file),
            "timers": {"first_bindack_timeout_ms": 300, "initial_bindack_timeout_ms": 100, "router_solicitation_interval_ms": 250},
            "failover_after_retransmissions": 2,
            "http": {"address": "::1", "port": 8080},
            "user": USER,
        } | changes
        self.config = lab.folder / "mn.yml"
        self.config.write_text(json.dumps(values))
        self.log = lab.folder / "mobile-node.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[Any]:
        with self.log.open("a") as log:
            return self.lab.start(
                "mn",
                *(*SETPRIV, f"--bounding-set={AT_START}"),
                *(sys.executable, "-m", "closedloop_nf.mobile_node.main", "--config", str(self.config)),
                stderr=log,
                env=watched(self.lab.state),
            )

    def restart(self) -> None:
        self.process = self._start()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [record for record in read_lines(self.events_file) if record["name"] == name]

    def wait(self, name: str, after: int = 0, **fields: Any) -> dict[str, Any]:
        """The first event of that name and those fields whose time is later than `after` (monotonic nanoseconds)."""

        def probe() -> dict[str, Any] | None:
            if self.process.poll() is not None and name != "stopped":
                raise AssertionError(f"mobile-node ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
            for event in self.events(name):
                if event["mono_ns"] > after and all(event[field] == value for field, value in fields.items()):
                    return event
            return None

        return until(f"event {name} {fields}", probe)

    def http(self, path: str) -> str:
        return self.lab.inside("mn", f"curl -s -m 5 http://[::1]:8080{path}")


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file of JSON lines that another process is writing."""
    if not file.exists():
        return
    for line in file.read_text().split("\n")[:-1]:
        yield json.loads(line)
