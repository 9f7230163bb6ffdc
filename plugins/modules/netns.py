#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Named network namespaces of a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: netns
short_description: Named network namespaces with their sysctls
version_added: "0.1.0"
description:
  - Makes or removes named network namespaces (those of C(ip netns)), several in one task.
  - In a namespace that is present the loopback interface is up and the given sysctls have their values.
  - Where the task's host is the machine that Ansible runs on and runs as root, the work is done without starting a module process.
options:
  namespaces:
    description: The namespaces.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the namespace, 1 to 63 letters, digits, C(.), C(_) or C(-).
        type: str
        required: true
      sysctls:
        description: Values of keys below C(net.) in the namespace. A dot inside an interface name is written C(/).
        type: dict
        default: {}
  state:
    description:
      - V(present) makes what is missing and sets what differs.
      - V(absent) ends the processes inside, then removes the namespace.
    type: str
    choices: [present, absent]
    default: present
  grace_ms:
    description: Milliseconds that a process inside has between SIGTERM and SIGKILL.
    type: int
    default: 2000
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - pyroute2
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: A router and a host are there
  closedloop.mobility.netns:
    namespaces:
      - name: demo-router
        sysctls:
          net.ipv6.conf.all.forwarding: 1
      - name: demo-host

- name: They are gone, with whatever ran inside
  closedloop.mobility.netns:
    namespaces:
      - name: demo-router
      - name: demo-host
    state: absent
"""

RETURN = r"""
namespaces:
  description: Names of the namespaces that the task cares for (V(present)) or that it removes (V(absent)).
  returned: success
  type: list
  elements: str
  sample: [demo-host, demo-router]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import netns
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=netns.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = netns.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
