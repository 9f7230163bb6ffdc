#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Interfaces of namespace hosts on the links of a lab."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: netns_link
short_description: Interfaces that attach namespaces to the links of a lab
version_added: "0.1.0"
description:
  - A link is a bridge in one namespace, the fabric. An interface is a veth pair between a namespace and a bridge there.
  - Bridges are made when the first interface needs them.
  - Giving an interface another link moves it. Its carrier goes down and up, as when a mobile node changes its access point.
  - Addresses and routes made by this module carry a mark. Those without the mark, by SLAAC or by a daemon, are left alone.
  - On kernels before 5.18, which keep no mark of addresses, an address that is no longer listed stays.
options:
  fabric:
    description: Namespace that holds the bridges.
    type: str
    required: true
  interfaces:
    description: The interfaces.
    type: list
    elements: dict
    required: true
    suboptions:
      namespace:
        description: Namespace of the host.
        type: str
        required: true
      name:
        description: Name of the interface in that namespace, at most 15 characters.
        type: str
        required: true
      link:
        description: Name of the link that the interface is attached to, at most 15 characters. Needed with O(state=present).
        type: str
      roaming:
        description: Whether an interface that is there keeps its link, so that O(interfaces[].link) only says where it begins.
        type: bool
        default: false
      mtu:
        description: MTU of both ends, 1280 to 65535. Without it a new interface has 1500 and a present one keeps its own.
        type: int
      rate_mbit_per_s:
        description:
          - Limits the interface to so many Mbit/s in each direction, with a token bucket at both ends. V(0) removes the limit.
          - Without it a limit stays as it is.
        type: int
      addresses:
        description:
          - IPv6 addresses with prefix length, usable at once (no duplicate address detection).
          - Without it the addresses stay as they are.
        type: list
        elements: str
      routes:
        description:
          - Routes through this interface.
          - Without it the routes stay as they are.
        type: list
        elements: dict
        suboptions:
          to:
            description: An IPv6 prefix, or V(default).
            type: str
            required: true
          via:
            description: IPv6 address of the next hop.
            type: str
            required: true
      sysctls:
        description: Values of keys below C(net.ipv6.conf.INTERFACE), set before the interface is up.
        type: dict
        default: {}
  state:
    description: Whether the interfaces are there.
    type: str
    choices: [present, absent]
    default: present
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - pyroute2
seealso:
  - module: closedloop.mobility.netns
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: A host is attached to the access link
  closedloop.mobility.netns_link:
    fabric: demo-fabric
    interfaces:
      - namespace: demo-host
        name: eth0
        link: access1
        addresses: ["2001:db8:1::10/64"]
        routes:
          - to: default
            via: 2001:db8:1::1

- name: It moves to another access link
  closedloop.mobility.netns_link:
    fabric: demo-fabric
    interfaces:
      - namespace: demo-host
        name: eth0
        link: access2
"""

RETURN = r"""
interfaces:
  description: The interfaces that the task cares for, as C(NAMESPACE/INTERFACE).
  returned: success
  type: list
  elements: str
  sample: [demo-host/eth0]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import links
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=links.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = links.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
