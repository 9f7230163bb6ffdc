# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What a failover has to do, from what was placed and what HA-B sees. A plan is made anew by every run, also by one that finishes the
work of a killed one, and it is empty where nothing has failed."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.closedloop.mobility.plugins.plugin_utils.vf_modules import Module, Placement, successor

GONE = ("lost", "stopped")


def plan(
    declared: list[Module],
    placement: Placement,
    home_agents: list[dict[str, Any]],
    regions: dict[str, Any],
    redundancy: str,
    failed: str = "",
    region: str = "",
) -> dict[str, Any]:
    """The plan, or {} where nothing has failed, or what has failed is replaced already. `failed` and `region` come from the operation, or
    are "": then what has failed is found, and a region chosen.

    failed       name of the VF module that is to go
    ordered      whether HA-B is to be asked to let the successor serve: the failed one serves and lives, with or without its raw
                 socket, and hands over in order, or nobody has served yet; else HA-B does it by itself
    owner        who hands over then, "" where nobody serves
    successor    the VF module that serves next
    deploy       whether the successor has to be deployed for it; else it is a standby that HA-B promotes
    awaited      whether it has yet to serve
    standby      the VF module to be deployed afterwards, so that there is a standby again; {} where none is wanted
    abandoned    name of the successor that an earlier attempt has begun with elsewhere and that is not ready, or that it was about to
                 remove; "" where there is none
    placed       the VF modules to be recorded at the end as in place, and no more as ones that are to replace the failed one: what
                 this attempt or an earlier one has deployed for it and that stays
    """
    present = {name: entry for name, entry in placement.items() if entry.get("state") == "present"}
    seen = {agent["name"]: agent for agent in home_agents}
    gone = failed or _unfinished(present) or _gone(present, seen)
    if not gone:
        return {}
    if gone not in placement:
        raise AnsibleFilterError(
            f"failover_failed: there is no VF module {gone!r}; name one of {sorted(present) or 'none, deploy one first'}"
        )
    if region and region not in regions:
        raise AnsibleFilterError(f"failover_region: there is no region {region!r}; name one of {sorted(regions)}")
    if gone not in seen and _replaced(gone, present, declared, redundancy):
        return _left_behind(gone, placement, present, seen) or (_awaiting_standby(gone, present, seen) if redundancy == "standby" else {})
    enough = len(declared) if redundancy == "standby" else 1
    abandoned = _abandoned(gone, region, present, seen) or _too_many(gone, present, seen, enough)
    if abandoned:
        placement = {name: {**entry, "replaces": ""} if name == abandoned else entry for name, entry in placement.items()}
        present = {name: entry for name, entry in present.items() if name != abandoned}
    owner = gone if seen.get(gone, {}).get("serving") else ""
    ordered = seen[owner]["state"] not in GONE if owner else not any(agent["serving"] for agent in home_agents)
    common = {"failed": gone, "ordered": ordered, "owner": owner, "abandoned": abandoned}
    begun = [_module(present[name]) for name in sorted(present) if present[name].get("replaces") == gone]
    standby = _standby(gone, present, seen)
    if standby is None:
        target = region or _other_region(placement[gone]["region"], regions)
        made = successor(gone, target, declared, placement, "standby")
        placed = [made, *(module for module in begun if module["name"] != made["name"])]
        return {**common, "successor": made, "deploy": True, "awaited": _awaited(gone, made, seen), "standby": {}, "placed": placed}
    target = region or _other_region(standby["region"], regions)
    others = [name for name in present if name != gone]
    spare = [name for name in others if name != standby["name"] and seen.get(name, {}).get("role", "standby") != "active"]
    wanted = redundancy == "standby" and (len(others) < len(declared) or not spare)
    following = _next_standby(gone, target, declared, placement) if wanted else {}
    awaited = _awaited(gone, standby, seen)
    return {**common, "successor": standby, "deploy": False, "awaited": awaited, "standby": following, "placed": begun}


def _unfinished(present: Placement) -> str:
    """Name whose replacement a killed run has begun with."""
    return next((entry["replaces"] for entry in present.values() if entry.get("replaces") in present), "")


def _replaced(failed: str, present: Placement, declared: list[Module], redundancy: str) -> bool:
    """Whether nothing is left to do for it: an alert that comes late, or one more of the same trouble."""
    if failed in present or any(entry.get("replaces") == failed for entry in present.values()):
        return False
    return redundancy != "standby" or len(present) >= len(declared)


def _abandoned(failed: str, region: str, present: Placement, seen: dict[str, dict[str, Any]]) -> str:
    """Name of the successor in another region than the one that is now chosen, as an attempt there has failed."""
    begun = (name for name, entry in present.items() if entry.get("replaces") == failed and region and entry["region"] != region)
    return next((name for name in begun if seen.get(name, {}).get("state") != "ready" and not _in_place(seen.get(name))), "")


def _too_many(failed: str, present: Placement, seen: dict[str, dict[str, Any]], enough: int) -> str:
    """Name of a successor that is too many, as an earlier one came late and was taken for failed; "" where none is."""
    begun = sorted(name for name, entry in present.items() if entry.get("replaces") == failed)
    if sum(name != failed for name in present) <= enough:
        return ""
    heirs = [name for name in sorted(present) if name != failed and _in_place(seen.get(name))]
    ready = [name for name in begun if seen.get(name, {}).get("state") == "ready"]
    kept = next(iter([*heirs, *ready, *begun]), "")
    return next((name for name in begun if name != kept and name not in heirs), "")


def _awaiting_standby(failed: str, present: Placement, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The plan where all is placed and HA-B does not see the standby: the playbook that has begun with it may be gone. Else {}."""
    ready = [name for name in sorted(present) if seen.get(name, {}).get("state") == "ready"]
    late = [name for name in sorted(present) if name not in seen or (seen[name]["state"] in GONE and not seen[name]["serving"])]
    if not late:
        return {}
    return {**_nothing_to_take_over(failed), "successor": present[(ready or late)[0]], "standby": {**present[late[0]], "role": "standby"}}


def _left_behind(failed: str, placement: Placement, present: Placement, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The plan where all is placed and HA-B still knows what a killed playbook was about to remove as abandoned. Else {}."""
    left = [name for name, entry in sorted(placement.items()) if entry.get("state") == "replaced" and name in seen]
    serving = sorted(present, key=lambda name: not _in_place(seen.get(name)))
    if not left or not serving:
        return {}
    return {**_nothing_to_take_over(failed), "successor": present[serving[0]], "standby": {}, "abandoned": left[0]}


def _nothing_to_take_over(failed: str) -> dict[str, Any]:
    return {"failed": failed, "ordered": False, "owner": "", "abandoned": "", "deploy": False, "awaited": False, "placed": []}


def _gone(present: Placement, seen: dict[str, dict[str, Any]]) -> str:
    """The first VF module that should run and does not, or that HA-B does not know; one that serves comes before a standby."""
    gone = [name for name in sorted(present) if name not in seen or seen[name]["state"] in GONE]
    return next(iter(sorted(gone, key=lambda name: not seen.get(name, {}).get("serving"))), "")


def _standby(failed: str, present: Placement, seen: dict[str, dict[str, Any]]) -> Module | None:
    """A VF module that HA-B promotes, or has promoted, in the place of the failed one. None: a successor has to be deployed.

    One that HA-B has promoted counts before the one that an earlier attempt has deployed for it."""
    succeeded = not seen.get(failed, {}).get("serving")
    usable = [
        name
        for name in sorted(present)
        if name != failed and seen.get(name, {}).get("state") == "ready" and (succeeded or seen[name]["role"] == "standby")
    ]
    begun = [name for name, entry in present.items() if entry.get("replaces") == failed]
    heirs = [name for name in sorted(present) if name != failed and succeeded and _in_place(seen.get(name))]
    if heirs and not set(begun) & set(heirs):
        return present[heirs[0]]
    return None if begun or not usable else present[usable[0]]


def _awaited(failed: str, successor: Module, seen: dict[str, dict[str, Any]]) -> bool:
    return bool(seen.get(failed, {}).get("serving")) or not _in_place(seen.get(successor["name"]))


def _in_place(agent: dict[str, Any] | None) -> bool:
    """Whether it serves as far as HA-B is concerned. One whose raw socket is closed has an alert of its own, after this one."""
    return agent is not None and agent["role"] == "active" and agent["state"] not in GONE


def _other_region(region: str, regions: dict[str, Any]) -> str:
    """The first region that is another one, or the same where there is only one."""
    return next((name for name in sorted(regions) if name != region), region)


def _next_standby(failed: str, region: str, declared: list[Module], placement: Placement) -> Module:
    """The failed VF module made anew where it was, or another one elsewhere."""
    if placement[failed]["region"] == region:
        return {**_module(placement[failed]), "role": "standby"}
    return successor(failed, region, declared, placement, "standby")


def _module(entry: dict[str, Any]) -> Module:
    """The VF module of a placement's entry."""
    return {key: entry[key] for key in ("name", "region", "role", "address", "home_link_address")}
