"""A lab of its own for the kill tests: playbooks run and killed, the functions as a supervisor sees them, HA-B's API, pings."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible_collections.closedloop.mobility.plugins.module_utils import links, namespaces, processes
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
STATE = Path("/run/closedloop")
CORRESPONDENT = "cn"
VISITED = ("visited1", "visited2")
_BECOME_USER = ["setgid", "setpcap", "setuid"]
_NETWORK = ["net_admin", "net_raw", *_BECOME_USER]
_CAPABILITIES = {"ha-b": _BECOME_USER, "ha-pp": _NETWORK, "mobile-node": _NETWORK}
_WATCHED = {
    "ha-b": ["ha-b.yml", "tls/server.pem", "link.token", "api.token"],
    "ha-pp": ["ha-pp.yml"],
    "mobile-node": ["mobile-node.yml", "mobility.key"],
}
"""What the roles give the module netns_process. A difference would show: the next run of site.yml would restart the process."""


class Service(NamedTuple):
    """A daemon: the host it runs on and its program."""

    host: str
    program: str


HA_B = Service("ha-b", "ha-b")


def environment() -> dict[str, str]:
    """For Ansible, whatever the caller's own settings are."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return inherited | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


class Playbook:
    """A run of ansible-playbook that can be killed."""

    def __init__(self, book: str, variables: dict[str, Any], folder: Path) -> None:
        self.book = book
        self._log = folder / f"{book}.log"
        argv = [str(BIN / "ansible-playbook"), f"playbooks/{book}.yml", "--extra-vars", json.dumps(variables)]
        self.began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(argv, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self, timeout_s: float = 120.0) -> dict[str, int]:
        """What the recap counts over all hosts (changed, failed, ...). AssertionError with the end of the output where it failed."""
        status = self._process.wait(timeout_s)
        text = self._log.read_text(encoding="utf-8", errors="replace")
        assert status == 0, f"playbooks/{self.book}.yml ended with status {status}:\n{text[-3000:]}"
        return recap(text)

    def changes(self) -> list[str]:
        """`task: what changed` of everything that it reports as changed."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        tasks = (part.partition("\n") for part in text.partition("PLAY RECAP")[0].split("TASK ")[1:])
        return [f"{task.strip(' *')}: {line}" for task, _, body in tasks for line in body.splitlines() if line.startswith("changed:")]

    def kill(self, *, workers: bool) -> bool:
        """kill -9, also of its worker processes or of the parent alone. False where it had ended by itself."""
        if self._process.poll() is not None:
            return False
        doomed = [*(list(descendants(self._process.pid)) if workers else []), self._process.pid]
        for pid in reversed(doomed):
            with suppress(ProcessLookupError):  # it ended by itself just now
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)
        return True


def recap(text: str) -> dict[str, int]:
    """Sums of the lines `host : ok=1 changed=0 ...` at the end of a playbook's output."""
    sums: dict[str, int] = {}
    for line in text.partition("PLAY RECAP")[2].splitlines()[1:]:
        for word in line.split(":")[-1].split():
            name, _, value = word.partition("=")
            sums[name] = sums.get(name, 0) + int(value)
    return sums


def descendants(pid: int) -> Iterator[int]:
    """Process ids of children, grandchildren, ... parents first."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        found = [int(word) for word in children.read_text(encoding="ascii").split()]
    except OSError:
        return
    for child in found:
        yield child
        yield from descendants(child)


class Lab:
    """Everything the kill tests do to one lab region."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.state = STATE / name
        self.folder = folder
        self._tls: ssl.SSLContext | None = None
        self.mobile_nodes = ("mn1", "mn2")
        self.at = dict(zip(self.mobile_nodes, VISITED, strict=True))
        """Link that each mobile node is attached to."""

    def namespace(self, host: str) -> str:
        return f"{self.name}-{host}"

    # --- playbooks ---------------------------------------------------------------------------------------------------

    def begin(self, book: str, **variables: Any) -> Playbook:
        return Playbook(book, {"lab_name": self.name, "redundancy": "standby", "control_loop_enabled": False} | variables, self.folder)

    def run(self, book: str, **variables: Any) -> dict[str, int]:
        return self.begin(book, **variables).wait()

    # --- daemons -----------------------------------------------------------------------------------------------------

    def placed(self) -> list[str]:
        """Names of the VF modules that should run."""
        records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((self.state / "placement").glob("*.json"))]
        return [record["name"] for record in records if record["state"] == "present"]

    def services(self) -> list[Service]:
        return [HA_B, *(Service(name, "ha-pp") for name in self.placed()), *(Service(name, "mobile-node") for name in self.mobile_nodes)]

    def record(self, service: Service) -> processes.Record | None:
        """The daemon's record while it lives."""
        return processes.running(self.state / service.host, service.program)

    def signal(self, service: Service, number: signal.Signals) -> int:
        """Send a signal; the process id, or 0 where it does not run."""
        record = self.record(service)
        if record is None:
            return 0
        with suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(record.pid, number)
            return record.pid
        return 0

    def supervised(self) -> list[Service]:
        """What a supervisor starts again."""
        return self.services()

    def supervise(self) -> None:
        """Start again what does not run."""
        for service in self.supervised():
            self.start(service)

    def start(self, service: Service) -> None:
        """As its role does, where it does not run. A daemon without files or namespace is left to the playbooks."""
        record = self.state / service.host / f"{service.program}.json"
        if self.record(service) is None and record.exists() and namespaces.exists(self.namespace(service.host)):
            processes.run(self.process(service), check_mode=False)

    def process(self, service: Service) -> dict[str, Any]:
        """Arguments of the module netns_process."""
        directory = self.state / service.host
        return {
            "name": service.program,
            "directory": str(directory),
            "state": "started",
            "namespace": self.namespace(service.host),
            "argv": [str(BIN / service.program), "--config", str(directory / f"{service.program}.yml")],
            "environment": {},
            "capabilities": _CAPABILITIES[service.program],
            "watch": [str(directory / name) for name in _WATCHED[service.program]],
            "grace_ms": 5000,
        }

    def move(self, node: str, link: str) -> None:
        """Attach the mobile node to a link, as move.yml does."""
        interface = {"namespace": self.namespace(node), "name": "eth0", "link": link, "roaming": False}
        links.run({"fabric": self.namespace("fabric"), "interfaces": [interface], "state": "present"}, check_mode=False)
        self.at[node] = link

    # --- what can be seen from outside -------------------------------------------------------------------------------

    def config(self, host: str, name: str) -> dict[str, Any]:
        return dict(yaml.safe_load((self.state / host / name).read_text(encoding="utf-8")))

    def home_address(self, node: str) -> str:
        return str(self.config(node, "mobile-node.yml")["home_address"])

    def watched_addresses(self) -> list[str]:
        """Addresses that must not have two owners: the home addresses and the home agent address that moves."""
        return [*(self.home_address(node) for node in self.mobile_nodes), str(self.config("ha-b", "ha-b.yml")["shared_address"])]

    def api(self, path: str) -> Any:
        """Answer of HA-B. Raises OSError (ssl.SSLError is one) or http.client.HTTPException where it does not answer."""
        settings = self.config("ha-b", "ha-b.yml")["http"]
        token = Path(settings["token_file"]).read_text(encoding="ascii").strip()
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self.state / "ha-b/tls/ca.pem")
        connection = http.client.HTTPSConnection(settings["address"], settings["port"], timeout=3, context=self._tls)
        try:
            with namespaces.entered(self.namespace("ha-b")):
                connection.connect()
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise OSError(f"HA-B answers GET {path} with status {answer.status}: {body[:200]!r}")
            return json.loads(body)
        finally:
            connection.close()

    def bindings(self) -> dict[str, dict[str, Any]]:
        return {row["home_address"]: row for row in self.api("/v1/bindings")["bindings"]}

    def serving(self) -> str:
        """The HA-PP that serves, as HA-B sees it."""
        (name,) = (agent["name"] for agent in self.api("/v1/home-agents")["home_agents"] if agent["serving"])
        return str(name)

    def pings(self, address: str, *, within_s: float) -> bool:
        """Whether the correspondent node gets an answer from an address."""
        identifier = os.getpid() & 0xFFFF
        with namespaces.entered(self.namespace(CORRESPONDENT)):
            sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        with sock:
            sequence = random.randrange(1 << 16)  # an answer to an earlier question does not count
            sock.sendto(struct.pack("!BBHHH", 128, 0, 0, identifier, sequence), (address, 0))
            deadline = time.monotonic() + within_s
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    data = sock.recv(2048)
                except TimeoutError:
                    return False
                if data[0] == 129 and struct.unpack_from("!HH", data, 4) == (identifier, sequence):
                    return True
        return False

    def missing(self) -> str | None:
        """None when every daemon runs and every mobile node is registered from where it is, served by one HA-PP and reached."""
        try:
            for service in self.services():
                if self.record(service) is None:
                    return f"{service} does not run"
            for node in self.mobile_nodes:
                if not self.pings(self.home_address(node), within_s=0.1):
                    return f"{node} does not answer at its home address"
            agents = {agent["name"]: agent for agent in self.api("/v1/home-agents")["home_agents"]}
            serving = sorted(name for name, agent in agents.items() if agent["serving"])
            if len(serving) != 1:
                return f"{serving or 'nobody'} serves"
            for name in self.placed():
                if agents.get(name, {}).get("state") != "ready":
                    return f"{name} is {agents.get(name, {}).get('state', 'unknown')}"
            rows = self.bindings()
            for node in self.mobile_nodes:
                row = rows.get(self.home_address(node))
                if row is None or row["owner"] != serving[0]:
                    return f"{node} is bound to {row and row['owner']}, {serving[0]} serves"
                prefix = "2001:db8:1:" if self.at[node] == "visited1" else "2001:db8:2:"
                if not row["care_of_address"].startswith(prefix):
                    return f"{node} is bound at {row['care_of_address']}, it is on {self.at[node]}"
        except (OSError, http.client.HTTPException, MobilityError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return None

    def converged(self, within_s: float) -> float:
        """Seconds until nothing is missing. AssertionError with what is missing after `within_s`."""
        begun = time.monotonic()
        while (missing := self.missing()) is not None:
            waited = time.monotonic() - begun
            assert waited < within_s, f"lab {self.name} has not converged after {waited:.1f} s: {missing}"
            time.sleep(0.02)
        return time.monotonic() - begun

    # --- end ---------------------------------------------------------------------------------------------------------

    def keep(self, folder: Path) -> None:
        """Copy what tells how something went wrong: logs, event streams, configurations, placements. No secrets."""
        for path in self.state.glob("*/*") if self.state.is_dir() else []:
            if path.suffix in {".log", ".jsonl", ".yml", ".json"} and path.name != "inventory.json":
                (folder / path.parent.name).mkdir(exist_ok=True)
                shutil.copy(path, folder / path.parent.name)

    def remove(self) -> None:
        """Nothing of the lab is left, whatever state it is in."""
        for service in self.services() if self.state.is_dir() else []:
            self.signal(service, signal.SIGCONT)
        subprocess.run(
            [str(BIN / "ansible-playbook"), "playbooks/teardown.yml", "--extra-vars", json.dumps({"lab_name": self.name})],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        for path in namespaces.RUN_DIRECTORY.glob(f"{self.name}-*"):
            namespaces.end_processes(path.stat().st_ino, 0.1)
            namespaces.remove(path.name)
        subprocess.run(["rm", "-rf", str(self.state)], check=True)
