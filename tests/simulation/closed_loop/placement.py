"""Regions, and which VF modules are placed in them: the files below <state>/placement, the hosts, and the region back end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from closedloop_loop.policy import placement
from closedloop_loop.policy.inventory import Inventory, Module, Region

from tests.simulation.packet_processor import Host
from tests.simulation.world import World

sys.path.append(str(Path(__file__).resolve().parents[3] / "collections"))
from ansible_collections.closedloop.mobility.plugins.plugin_utils import balance, failover, scaling  # after the path

REGIONS: Final = {"a": {}, "b": {}, "c": {}}

failover_plan: Final = failover.plan
scale_out_plan: Final = scaling.scale_out_plan
scale_in_plan: Final = scaling.scale_in_plan
balance_plan: Final = balance.balance_plan


class Placement:
    """`make(name, region)` gives the host of a VF module; a name that comes back gets the same one."""

    def __init__(self, world: World, redundancy: str, make: Callable[[str, str, str], Host]) -> None:
        self._world, self._make = world, make
        self.redundancy = redundancy
        self.declared: list[dict[str, Any]] = [
            {"name": "ha-pp-a", "region": "a", "role": "active", "address": "", "home_link_address": ""},
            {"name": "ha-pp-b", "region": "b", "role": "standby", "address": "", "home_link_address": ""},
        ]
        self.files: dict[str, dict[str, Any]] = {}
        """Durable: what playbooks recorded."""
        self.hosts: dict[str, Host] = {}

    @property
    def present(self) -> dict[str, dict[str, Any]]:
        return {name: entry for name, entry in self.files.items() if entry["state"] == "present"}

    @property
    def wanted(self) -> int:
        """How many VF modules there should be, where nothing is scaled."""
        return 2 if self.redundancy == "standby" else 1

    def place(self, module: dict[str, Any], **changes: Any) -> None:
        """Record it and let its region's back end start it, unless it runs already."""
        name = module["name"]
        self.files[name] = {
            "name": name,
            "region": module["region"],
            "role": module["role"],
            "address": "",
            "home_link_address": "",
            "state": "present",
            "replaces": "",
            "relieves": "",
            **changes,
        }
        host = self.hosts.get(name)
        if host is None:
            host = self.hosts[name] = self._make(name, module["region"], module["role"])
        host.role = module["role"]
        self._world.after(0.05 + self._world.rng.random() * 0.2, self._start, name)

    def remove(self, name: str) -> None:
        """Stop what runs, and record that it was replaced."""
        self.files[name] = {**self.files[name], "state": "replaced", "replaces": "", "relieves": ""}
        self.hosts[name].stop()

    def leave(self, name: str) -> None:
        """Record that it is about to go for good, and stop it."""
        self.files[name] = {**self.files[name], "state": "leaving", "replaces": "", "relieves": ""}
        self.hosts[name].stop()

    def gone(self, name: str) -> None:
        """Nothing is left of it, but that one was declared."""
        if any(module["name"] == name for module in self.declared):
            self.files[name] = {**self.files[name], "state": "removed"}
        else:
            del self.files[name]

    def placed(self, name: str) -> bool:
        return self.files.get(name, {}).get("state") in placement.THERE

    @property
    def instances(self) -> int:
        """VF modules, one that is being replaced and its successors counted as one."""
        return len({entry["replaces"] or name for name, entry in self.present.items()})

    def restart(self, name: str) -> None:
        """A supervisor starts a process that ended."""
        self._start(name)

    def inventory(self) -> Inventory:
        """As the event source reads it."""
        records = {name: msgspec.convert(entry, placement.Record) for name, entry in self.files.items()}
        modules = [
            Module(name=record.name, region=record.region, state=placement.module_state(record, records))
            for record in records.values()
            if record.state in placement.THERE
        ]
        return Inventory(regions=[Region(name=name, capacity=2) for name in REGIONS], modules=modules)

    def _start(self, name: str) -> None:
        if name in self.present:
            self.hosts[name].start()
