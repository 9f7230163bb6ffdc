# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Which VF modules there should be, and what each one is made from.

    declared   [{"name", "region", "role", "address", "home_link_address"}]   the inventory's list; the addresses may be left out
    placement  {name: {..., "state": "present" | "replaced" | "leaving" | "removed", "replaces": name, "relieves": name}}
               what playbooks recorded while the lab ran

The inventory declares the first placement. A failover changes it: the failed VF module is `replaced` and its successor `present`. So does
scaling: it adds VF modules, and a declared one that it takes away is `removed`. That is what a later run of the site playbook keeps up.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.datatag import native_type_name
from ansible_collections.closedloop.mobility.plugins.plugin_utils.lab_plan import address_of, prefix_of

Module = dict[str, Any]
Placement = dict[str, Module]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
FIELDS = ("name", "region", "role", "address", "home_link_address")
ROLES = ("active", "standby")
HEALTH_PORT = 7320
REDUNDANCY = ("cold", "standby")


def address_in(prefix: str, name: str) -> str:
    """A stable address for a name: the prefix and 64 opaque bits, the same for the same name in the same prefix (idea of RFC 7217)."""
    network = prefix_of(prefix)
    if network is None or network.prefixlen > 64:
        raise AnsibleFilterError(f"{prefix!r} is not an IPv6 prefix of at most 64 bits; write 2001:db8:1::/64")
    digest = hashlib.sha256(f"{network} {name}".encode()).digest()
    # The universal/local bit stays clear and the first octet is not 0, so that no address written by hand is met.
    identifier = int.from_bytes(bytes([digest[0] & 0xFD | 0x10]) + digest[1:8], "big")
    return str(ipaddress.IPv6Address(int(network.network_address) | identifier))


def completed(module: Module, regions: dict[str, Any], home_network: dict[str, Any]) -> Module:
    """The VF module with its addresses filled in."""
    region = regions[module["region"]]
    return {
        "name": module["name"],
        "region": module["region"],
        "role": module.get("role") or "active",
        "address": module.get("address") or address_in(region["prefix"], module["name"]),
        "home_link_address": module.get("home_link_address") or address_in(home_network["prefix"], module["name"]),
    }


def ha_pp_configuration(module: Module, backend: dict[str, Any], user: str | int, settings: dict[str, Any]) -> dict[str, Any]:
    """Configuration file of an HA-PP on a host with the interfaces `uplink` and `home`, which becomes `user`; `settings` are further
    fields, or other values.

    Made here and not from variables: each of the sixty templates would cost a failover one to two milliseconds."""
    configuration = {
        "name": module["name"],
        "region": module["region"],
        "role": module["role"],
        "address": module["address"],
        "uplink_interface": "uplink",
        "home_link": {"interface": "home", "address": module["home_link_address"]},
        "backend": {
            "host": backend["address"],
            "port": backend["link_port"],
            "tls": {"ca": backend["ca_file"]},
            "token_file": backend["token_file"],
        },
        "health": {"address": module["address"], "port": HEALTH_PORT},
        "user": user,
    }
    return _merged(configuration, settings)


def ves_configuration(collector: dict[str, Any], directory: str) -> dict[str, Any]:
    """The part `ves` of a function's configuration, in a mapping; an empty one where there is no collector.

    directory: its user's own; what the collector has not taken waits there."""
    if not collector:
        return {}
    return {
        "ves": {
            "url": collector["url"],
            "tls": {"ca": collector["ca_file"]},
            "username": collector["username"],
            "password_file": collector["password_file"],
            "queue": f"{directory}/events.sqlite",
        }
    }


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        mergeable = isinstance(value, dict) and isinstance(below.get(key), dict)
        result[key] = _merged(below[key], value) if mergeable else value
    return result


def wanted(declared: list[Module], placement: Placement, redundancy: str) -> list[Module]:
    """The VF modules that shall run: those placed at run time, and as many of the declared ones as it takes to have the declared number,
    less those that were removed.

    A declared VF module that was replaced comes back last, as a standby, for its successor does its work, and
    rather in a region where none is."""
    asked = [entry for entry in declared if entry.get("role") != "standby" or redundancy == "standby"]
    removed = sum(placement.get(entry["name"], {}).get("state") in ("removed", "leaving") for entry in asked)
    chosen = [_plain(entry) for entry in placement.values() if entry.get("state") == "present"]
    new = [_plain(entry) for entry in asked if entry["name"] not in placement]
    used = {entry["region"] for entry in chosen}
    back = [entry for entry in declared if placement.get(entry["name"], {}).get("state") == "replaced"]
    replaced = [{**_plain(entry), "role": "standby"} for entry in sorted(back, key=lambda entry: entry["region"] in used)]
    chosen.extend([*new, *replaced][: max(0, len(asked) - removed - len(chosen))])
    return sorted(chosen, key=lambda entry: (entry.get("role") != "active", entry["name"]))


def successor(failed: str, region: str, declared: list[Module], placement: Placement, role: str) -> Module:
    """The VF module that takes over from `failed` in `region`: the one a killed run has begun with, else a declared one that is not
    there, else a new one. The same answer until the failover is complete."""
    for entry in placement.values():
        if entry.get("state") == "present" and entry.get("replaces") == failed:
            return _plain(entry)
    taken = {name for name, entry in placement.items() if entry.get("state") == "present"} | {failed}
    for entry in declared:
        if entry["region"] == region and entry["name"] not in taken:
            return {**_plain(entry), "role": role}
    number = next(number for number in range(1, len(taken) + 2) if f"ha-pp-{region}-{number}" not in taken)
    return {"name": f"ha-pp-{region}-{number}", "region": region, "role": role}


def problems(declared: Any, regions: Any, home_network: dict[str, Any], links: dict[str, Any], redundancy: Any) -> list[str]:
    """Everything that is wrong with regions and VF modules, one line each."""
    found = []
    if redundancy not in REDUNDANCY:
        found.append(f"redundancy: {redundancy!r} ({native_type_name(redundancy)}) is not known; write one of {', '.join(REDUNDANCY)}")
    home = prefix_of(home_network.get("prefix"))
    if home is None:
        found.append(f"home_network, prefix: {home_network.get('prefix')!r} is not an IPv6 prefix; write 2001:db8:100::/64")
    if home_network.get("link") not in links:
        found.append(f"home_network, link: there is no link {home_network.get('link')!r}; name one of {sorted(links)}")
    for name, region in regions.items():
        found.extend(_region_problems(name, region, links))
    seen: dict[str, str] = {}
    for module in declared:
        found.extend(_module_problems(module, regions, home, seen))
    return found


def _region_problems(name: str, region: Any, links: dict[str, Any]) -> list[str]:
    if not isinstance(region, dict):
        return [f"region {name}: expected a mapping, got {native_type_name(region)}; give at least its backend"]
    if region.get("backend") != "lab":
        return [f"region {name}, backend: {region.get('backend')!r} is not known; write lab"]
    found = []
    if region.get("link") not in links:
        found.append(f"region {name}, link: there is no link {region.get('link')!r}; name one of {sorted(links)}")
    prefix, router = prefix_of(region.get("prefix")), address_of(region.get("router"))
    if prefix is None:
        found.append(f"region {name}, prefix: {region.get('prefix')!r} is not an IPv6 prefix; write 2001:db8:a::/64")
    if router is None or (prefix is not None and router not in prefix):
        found.append(f"region {name}, router: {region.get('router')!r} is not an address of {prefix}; name the router on the region's link")
    capacity = region.get("capacity")
    if not isinstance(capacity, int) or isinstance(capacity, bool) or capacity < 0:
        what = f"{capacity!r} ({native_type_name(capacity)})"
        found.append(f"region {name}, capacity: {what} is not a number of VF modules; use 0 or more")
    return found


def _module_problems(module: Any, regions: dict[str, Any], home: ipaddress.IPv6Network | None, seen: dict[str, str]) -> list[str]:
    if not isinstance(module, dict) or not NAME.fullmatch(str(module.get("name", ""))):
        return [f"vf_modules: {module!r} has no valid name; use up to 32 lower-case letters, digits and '-'"]
    where = f"VF module {module['name']}"
    found = [f"{where}, {field}: is not a field; remove it or correct its name" for field in sorted(set(module) - set(FIELDS))]
    if module["name"] in seen:
        found.append(f"{where}: is declared twice; remove one")
    if module.get("role", "active") not in ROLES:
        found.append(f"{where}, role: {module['role']!r} is not known; write one of {', '.join(ROLES)}")
    region = regions.get(module.get("region")) if isinstance(module.get("region"), str) else None
    if region is None:
        found.append(f"{where}, region: there is no region {module.get('region')!r}; name one of {sorted(regions)}")
    prefixes = {"address": prefix_of((region or {}).get("prefix")), "home_link_address": home}
    for field, prefix in prefixes.items():
        text = module.get(field)
        if text in (None, ""):
            continue
        address = address_of(text)
        if address is None or (prefix is not None and address not in prefix):
            found.append(f"{where}, {field}: {text!r} is not an address of {prefix}; correct it or leave it out")
        elif seen.setdefault(str(address), where) != where:
            found.append(f"{where}, {field}: {address} is also that of {seen[str(address)]}; give each VF module its own")
    seen[module["name"]] = where
    return found


def _plain(entry: Module) -> Module:
    return {field: entry[field] for field in FIELDS if entry.get(field)}
