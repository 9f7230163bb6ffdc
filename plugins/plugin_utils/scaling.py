# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What scaling out or in has to do, from what was placed and what HA-B sees. A plan is made anew by every run, also by one that finishes
the work of a killed one, and it is empty where nothing is left to do."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.closedloop.mobility.plugins.plugin_utils.balance import balance_plan, drain_plan
from ansible_collections.closedloop.mobility.plugins.plugin_utils.vf_modules import Module, Placement, successor


def scale_out_plan(
    declared: list[Module],
    placement: Placement,
    home_agents: list[dict[str, Any]],
    bindings: list[dict[str, Any]],
    regions: dict[str, Any],
    redundancy: str,
    overloaded: str = "",
    region: str = "",
) -> dict[str, Any]:
    """The plan, or {} where no `overloaded` is named and one more HA-PP would get no mobile node:

    overloaded  name of the VF module that is relieved
    added       the VF module that serves beside the others next
    deploy      whether it has to be deployed; else it is a standby, or was being drained, and is activated
    standby     the VF module to be deployed afterwards, so that there is a standby again; {} where none is wanted
    moves       orders that balance the load, as balance_plan makes them
    """
    present = _present(placement)
    seen = {agent["name"]: agent for agent in home_agents}
    if region and region not in regions:
        raise AnsibleFilterError(f"scale_out_region: there is no region {region!r}; name one of {sorted(regions)}")
    begun = [entry for entry in present.values() if entry.get("relieves") and overloaded in ("", entry["relieves"])]
    relieved = overloaded or (begun[0]["relieves"] if begun else _most_loaded(present, home_agents, bindings))
    if not relieved:
        return {}
    if relieved not in placement:
        raise AnsibleFilterError(f"scale_out_overloaded: there is no VF module {relieved!r}; name one of {sorted(present)}")
    standbys = [name for name in sorted(present) if seen.get(name, {}).get("state") == "ready" and seen[name]["role"] == "standby"]
    draining = [name for name in sorted(present) if name != relieved and _serves(seen.get(name)) and seen[name]["draining"]]
    if begun:
        added, deploy = begun[0], begun[0]["name"] not in standbys
    elif draining:  # a scale-in was called off
        added, deploy = present[draining[0]], False
    elif redundancy == "standby" and standbys:
        added, deploy = present[_in_region(standbys, present, region)], False
    else:
        target = region or _emptiest(placement[relieved]["region"], present, regions)
        added, deploy = successor(relieved, target, declared, _without_replacements(placement), "active"), True
    others = [agent for agent in home_agents if agent["name"] != added["name"]]
    moves = balance_plan(bindings, [*others, {"name": added["name"], "state": "ready", "role": "active", "draining": False}])
    if not overloaded and not begun and not moves:
        return {}
    # One VF module more is what the guards allow for: a new standby, where one is used up. One that is lost has a failover of its own.
    left = [name for name in present if name != added["name"] and seen.get(name, {}).get("role", "standby") != "active"]
    following: Module = {}
    unheard = [name for name in left if name not in seen]
    if redundancy == "standby" and unheard:  # of one that has never reached HA-B nobody else knows
        following = {**present[unheard[0]], "role": "standby"}
    elif redundancy == "standby" and added["role"] == "standby" and not left:
        placed = _without_replacements({**placement, added["name"]: {**added, "state": "present"}})
        following = successor(added["name"], _emptiest(added["region"], _present(placed), regions), declared, placed, "standby")
    return {"overloaded": relieved, "added": added, "deploy": deploy, "standby": following, "moves": moves}


def scale_in_plan(
    placement: Placement, home_agents: list[dict[str, Any]], bindings: list[dict[str, Any]], leaving: str = ""
) -> dict[str, Any]:
    """The plan, or {} where the VF module `leaving` is gone already, or none is named and only one serves:

    leaving  name of the VF module that goes
    drain    whether it still serves mobile nodes
    moves    orders that move its mobile nodes to the others, by their load
    """
    present = _present(placement)
    half_gone = sorted(name for name, entry in placement.items() if entry.get("state") == "leaving")
    if leaving and leaving not in present and leaving not in half_gone:
        if leaving not in placement:
            raise AnsibleFilterError(f"scale_in_name: there is no VF module {leaving!r}; name one of {sorted(present)}")
        return {}
    seen = {agent["name"]: agent for agent in home_agents}
    serving = [name for name in sorted(present) if _serves(seen.get(name))]
    name = leaving or (half_gone[0] if half_gone else _least_loaded(present, serving, seen, bindings))
    if not name:
        return {}
    if not [other for other in serving if other != name and not seen[other]["draining"]]:
        raise AnsibleFilterError(f"scale_in_name: {name!r} is the last home agent that serves; it stays. Deploy another one first")
    drain = _serves(seen.get(name))
    return {"leaving": name, "drain": drain, "moves": drain_plan(bindings, home_agents, name) if drain else []}


def _present(placement: Placement) -> Placement:
    return {name: entry for name, entry in placement.items() if entry.get("state") == "present"}


def _serves(agent: dict[str, Any] | None) -> bool:
    return agent is not None and agent["state"] == "ready" and agent["role"] == "active"


def _load(name: str, bindings: list[dict[str, Any]]) -> int:
    return sum(row["from_node_bit_per_s"] + row["to_node_bit_per_s"] for row in bindings if row["owner"] == name)


def _most_loaded(present: Placement, home_agents: list[dict[str, Any]], bindings: list[dict[str, Any]]) -> str:
    serving = sorted(agent["name"] for agent in home_agents if agent["name"] in present and _serves(agent))
    return max(serving, key=lambda name: _load(name, bindings), default="")


def _least_loaded(present: Placement, serving: list[str], seen: dict[str, dict[str, Any]], bindings: list[dict[str, Any]]) -> str:
    """The one that a killed run has begun to drain, else that with the least load; "" where it would be the last."""
    draining = [name for name in sorted(present) if seen.get(name, {}).get("draining")]
    if draining:
        return draining[0]
    return min(serving, key=lambda name: (_load(name, bindings), seen[name]["bindings"])) if len(serving) > 1 else ""


def _emptiest(region: str, present: Placement, regions: dict[str, Any]) -> str:
    """The other region with the fewest VF modules; the same where there is only one."""
    others = sorted(name for name in regions if name != region) or [region]
    return min(others, key=lambda name: sum(entry["region"] == name for entry in present.values()))


def _in_region(names: list[str], present: Placement, region: str) -> str:
    """A standby in the region that was asked for, else any: it serves at once, and a new one there would not."""
    return next((name for name in names if present[name]["region"] == region), names[0])


def _without_replacements(placement: Placement) -> Placement:
    """Who replaces whom does not count here."""
    return {name: {**entry, "replaces": ""} for name, entry in placement.items()}
