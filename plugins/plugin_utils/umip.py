# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the addresses that UMIP is configured with, before anything is changed."""

from __future__ import annotations

import ipaddress
from typing import Any

from ansible.module_utils.datatag import native_type_name
from ansible_collections.closedloop.mobility.plugins.plugin_utils.lab_plan import address_of


def problems(home_addresses: Any, home_agent_address: Any, node: str, ipsec: bool, host: str) -> list[str]:
    """One line for each problem. home_addresses: with their prefix length, as UMIP writes them."""
    found = []
    agent = address_of(home_agent_address)
    if agent is None:
        found.append(f"host {host}, home_agent_address: {_kind(home_agent_address)} is not an IPv6 address; write one like 2001:db8:100::1")
    if not isinstance(home_addresses, list):
        return [*found, f"host {host}, home_addresses: {_kind(home_addresses)} is no list; write [2001:db8:100::1001/64]"]
    if not home_addresses and (node == "mobile_node" or ipsec):
        found.append(
            f"host {host}, home_addresses: is empty; a mobile node, and IPsec on any node, need at least one, like 2001:db8:100::1001/64"
        )
    for text in home_addresses:
        address = _interface(text)
        if address is None:
            found.append(
                f"host {host}, home_addresses: {_kind(text)} is no address with its prefix length; write one like 2001:db8:100::1001/64"
            )
        elif agent is not None and agent not in address.network:
            found.append(f"host {host}, home_addresses: {agent} is not in the prefix of {address}; home agent and home address share one")
        elif agent == address.ip:
            found.append(f"host {host}, home_addresses: {agent} is the home agent's own; give the mobile node another one")
    return found


def _interface(text: Any) -> ipaddress.IPv6Interface | None:
    try:
        return ipaddress.IPv6Interface(str(text)) if isinstance(text, str) and "/" in text else None
    except ValueError:
        return None


def _kind(value: Any) -> str:
    return f"{value!r} ({native_type_name(value)})"
