"""Everything that watches a lab from outside while it suffers: the watcher of addresses, and what mobile nodes were told is registered."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils import links, netns

from tests.faults.acknowledged import EventStream, durable, lost
from tests.faults.lab import ROOT, Lab, environment
from tests.faults.watcher import PROBE_HOST


class Watching:
    """From `start` on nothing may be served twice and nothing acknowledged be lost; `ended` says what was seen, `stop` ends it anyhow."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab, self._folder = lab, folder
        self._streams: dict[str, EventStream] = {}
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def acknowledged(self) -> int:
        return sum(stream.count for stream in self._streams.values())

    def start(self) -> None:
        lab = self._lab
        self._streams = {lab.home_address(node): EventStream(lab.state / node / "state/events.jsonl") for node in lab.mobile_nodes}
        probe = lab.namespace(PROBE_HOST)
        netns.run({"namespaces": [{"name": probe, "sysctls": {}}], "state": "present", "grace_ms": 100}, check_mode=False)
        interface = {
            "namespace": probe,
            "name": "eth0",
            "link": "home",
            "roaming": False,
            "sysctls": {"disable_ipv6": 1},
        }
        links.run({"fabric": lab.namespace("fabric"), "interfaces": [interface], "state": "present"}, check_mode=False)
        self._watcher = start_watcher(lab.name, lab.watched_addresses(), self._folder)

    def alive(self) -> None:
        """AssertionError where the watcher has ended by itself."""
        assert self._watcher is not None, "start() comes first"
        assert self._watcher.poll() is None, self._watchers_log()

    def nothing_lost(self) -> None:
        """AssertionError where HA-B's API does not know what a mobile node was told."""
        self._follow()
        self._compare(self._lab.bindings(), "HA-B's API")

    def nothing_lost_on_disk(self) -> None:
        """The same of the file of an HA-B that was killed: what was acknowledged before is there without help."""
        self._follow()
        self._compare(durable(self._lab.state / "ha-b/state/bindings.sqlite"), "the database of the killed HA-B")

    def _follow(self) -> None:
        for stream in self._streams.values():
            stream.follow()

    def _compare(self, rows: dict[str, dict[str, Any]], where: str) -> None:
        for address, stream in self._streams.items():
            problem = lost(stream.last, rows.get(address)) if stream.last is not None else None
            assert problem is None, f"{address}: {problem} ({where})"

    def ended(self) -> dict[str, Any]:
        """What was seen. AssertionError where anything was served twice or the watcher itself died."""
        assert self._watcher is not None, "start() comes first"
        self._watcher.send_signal(signal.SIGTERM)
        status = self._watcher.wait(30)
        assert status == 0, self._watchers_log()
        seen: dict[str, Any] = json.loads((self._folder / "watcher.json").read_text(encoding="utf-8"))
        assert seen["violations"] == [], seen["violations"]
        return seen

    def stop(self) -> None:
        """Whatever happened."""
        if self._watcher is not None and self._watcher.poll() is None:
            self._watcher.kill()
            self._watcher.wait()

    def _watchers_log(self) -> str:
        return f"the watcher has failed: {(self._folder / 'watcher.log').read_text(encoding='utf-8')[-2000:]}"


def start_watcher(lab: str, addresses: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """It watches when this returns, and leaves watcher.json in the folder when it is told to end."""
    output = folder / "watcher.json"
    argv = [sys.executable, "-m", "tests.faults.watcher", "--lab", lab, "--output", str(output), *addresses]
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'collections'}"}
    with (folder / "watcher.log").open("wb") as log:
        watcher = subprocess.Popen(argv, cwd=ROOT, env=environment() | path, stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while not output.exists():
        ended = watcher.poll() is not None or time.monotonic() > deadline
        assert not ended, f"the watcher does not watch: {(folder / 'watcher.log').read_text(encoding='utf-8')[-2000:]}"
        time.sleep(0.01)
    return watcher
