"""The lab from outside: its playbooks, its namespaces, and what HA-B and the mobile nodes tell.

Whatever can be known from the running lab is read there (the functions' own configuration files, HA-B's API), not from the inventory.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.store.open import open_store

from closedloop_tools.namespaces import in_namespace
from closedloop_tools.work import work_folder

_STATE = Path("/run/closedloop")
_BIN = Path(sys.executable).parent
_POLL_S = 0.01
_LOG_TAIL = 4 << 20
_MATCHED = re.compile(r"^(\S+ \S+) - ansible_rulebook\.rule_generator - DEBUG - callback calling ", re.MULTILINE)
"""What ansible-rulebook logs as soon as its rule engine calls it back."""


class Task(NamedTuple):
    """A task of a playbook: CLOCK_MONOTONIC nanoseconds of its beginning and end."""

    name: str
    begin_ns: int
    end_ns: int


class PlaybookFailed(Exception):
    """With the end of what the playbook printed."""


class Playbook:
    """A run of `ansible-playbook`, begun when this is made."""

    def __init__(self, book: str, variables: Mapping[str, str | bool], on_task: Callable[[str], None] | None = None) -> None:
        """on_task: called in a thread with the name of each task that begins."""
        self._book = book
        self._folder = work_folder("playbook")
        self._times, self._output = Path(self._folder.name, "times"), Path(self._folder.name, "output")
        self._times.touch()
        environment = os.environ | {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "task_times",
            "CLOSEDLOOP_TASK_TIMES": str(self._times),
        }
        # It ends with this process: a playbook that outlives a killed demo would meet the next one.
        argv = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            str(_BIN / "ansible-playbook"),
            f"closedloop.mobility.{book}",
            "--extra-vars",
            json.dumps(dict(variables)),
        ]
        self.begin_ns = time.monotonic_ns()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        self._teller = threading.Thread(target=self._tell, args=(on_task,)) if on_task else None
        if self._teller:
            self._teller.start()

    def wait(self, timeout_s: float = 120.0) -> list[Task]:
        """Tasks in order, the first one `start of ansible-playbook`. Raises PlaybookFailed."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)
            status = self._process.wait()
        if self._teller:
            self._teller.join()
        with self._folder:
            if status != 0:
                tail = "\n".join(self._output.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
                raise PlaybookFailed(f"ansible-playbook closedloop.mobility.{self._book} ended with status {status}:\n{tail}")
            return tasks(self.begin_ns, self._times.read_text(encoding="utf-8").splitlines())

    def _tell(self, on_task: Callable[[str], None]) -> None:
        with self._times.open(encoding="utf-8") as times:
            running = True
            while running:
                running = self._process.poll() is None
                for line in times:
                    name = json.loads(line)["task"]
                    if name != "end":
                        on_task(name)
                time.sleep(_POLL_S)


def tasks(begin_ns: int, lines: list[str]) -> list[Task]:
    """From the lines that callbacks/task_times.py writes."""
    starts = [("start of ansible-playbook", begin_ns)] + [(entry["task"], entry["mono_ns"]) for entry in map(json.loads, lines)]
    return [Task(name, begin, end) for (name, begin), (_next, end) in pairwise(starts)]


class Lab:
    """One lab region by name, with the variables that its playbooks get beside `lab_name`."""

    def __init__(self, name: str, **variables: str | bool) -> None:
        self.name = name
        self._variables: dict[str, str | bool] = {"lab_name": name, **variables}
        self._state = _STATE / name

    def playbook(self, book: str, on_task: Callable[[str], None] | None = None, **variables: str | bool) -> Playbook:
        return Playbook(book, self._variables | variables, on_task)

    def renew(self, on_task: Callable[[str], None] | None = None) -> None:
        """Bring it up; first tear down what a killed run left."""
        if self._state.exists():
            self.playbook("teardown", on_task).wait()
        self.playbook("site", on_task).wait()

    def namespace(self, host: str) -> str:
        return f"{self.name}-{host}"

    def home_address(self, mobile_node: str) -> str:
        return str(self._config(mobile_node, "mobile-node.yml")["home_address"])

    def address(self, host: str) -> str:
        """The host's first global address."""
        argv = ["ip", "-n", self.namespace(host), "-json", "-6", "addr", "show", "scope", "global"]
        links = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        return next(str(entry["local"]) for link in links for entry in link.get("addr_info", ()))

    def mobile_node_events(self, mobile_node: str, since_ns: int) -> list[dict[str, Any]]:
        """What the mobile node wrote into its event stream from that moment (CLOCK_MONOTONIC) on."""
        file = Path(self._config(mobile_node, "mobile-node.yml")["events"])
        events = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return [event for event in events if event["mono_ns"] >= since_ns]

    def backend_events(self, since_wall: float) -> list[dict[str, Any]]:
        """HA-B's events from that moment (UNIX seconds) on, oldest first."""
        return [event for event in self._get("/v1/events?limit=1000")["events"] if event["wall"] >= since_wall]

    def home_agents(self) -> list[dict[str, Any]]:
        """As HA-B sees them."""
        return list(self._get("/v1/home-agents")["home_agents"])

    def owners(self) -> dict[str, str]:
        """Which HA-PP serves each bound home address."""
        return {str(row["home_address"]): str(row["owner"]) for row in self._get("/v1/bindings?limit=1000")["bindings"]}

    def operations(self, since_us: int = 0) -> list[Operation]:
        """Operations that were accepted from that moment (UNIX microseconds) on, oldest first."""
        file = self._state / "operations.db"
        if not file.exists():
            return []
        store = open_store(str(file))
        try:
            return [operation for operation in reversed(Journal(store).recent(1000)) if operation.created_us >= since_us]
        finally:
            store.close()

    def busy(self) -> bool:
        """Whether an operation goes on or is about to. One that a guard denies is not: of one home agent nothing can be taken away."""
        return any(operation.open and operation.state is not State.DENIED for operation in self.operations())

    def rule_matched(self, since_wall: float) -> float | None:
        """When the rulebook's first rule has matched since that moment (UNIX seconds); None where its log does not tell
        (`control_loop_log_matches`)."""
        log = self._state / "control/rulebook.log"
        if not log.exists():
            return None
        with log.open("rb") as lines:
            lines.seek(max(0, log.stat().st_size - _LOG_TAIL))
            told = _MATCHED.findall(lines.read().decode("utf-8", errors="replace"))
        moments = (datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp() for text in told)
        # The log's milliseconds are cut off.
        return next((moment for moment in moments if moment >= since_wall - 0.001), None)

    def serving(self) -> str:
        """Name of the HA-PP that serves. Raises RuntimeError where there is not exactly one."""
        names = [agent["name"] for agent in self.home_agents() if agent["serving"] and agent["state"] == "ready"]
        if len(names) != 1:
            raise RuntimeError(f"lab {self.name}: {names or 'no home agent'} serve; exactly one is expected here")
        return str(names[0])

    def kill(self, packet_processor: str) -> int:
        """SIGKILL to the HA-PP; when it was sent, CLOCK_MONOTONIC nanoseconds."""
        file = self._state / packet_processor / "ha-pp.json"
        pid = json.loads(file.read_text(encoding="utf-8"))["pid"]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if str(self._state / packet_processor).encode() not in command:
            raise RuntimeError(f"{file}: process {pid} is {command!r}, not {packet_processor}; run playbooks/site.yml")
        at = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        return at

    def _config(self, host: str, name: str) -> dict[str, Any]:
        return dict(yaml.safe_load((self._state / host / name).read_text(encoding="utf-8")))

    def _get(self, path: str) -> Any:
        settings = self._config("ha-b", "ha-b.yml")["http"]
        token = Path(settings["token_file"]).read_text(encoding="ascii").strip()
        tls = ssl.create_default_context(cafile=self._state / "ha-b/tls/ca.pem")

        def ask() -> Any:
            connection = http.client.HTTPSConnection(settings["address"], settings["port"], timeout=5, context=tls)
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"lab {self.name}: HA-B answers GET {path} with status {answer.status}: {body[:200]!r}")
                return json.loads(body)
            finally:
                connection.close()

        return in_namespace(self.namespace("ha-b"), ask)
