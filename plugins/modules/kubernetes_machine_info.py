#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a machine will do as a node of Kubernetes."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_machine_info
short_description: Whether a machine will do as a node of Kubernetes
version_added: "0.1.0"
description:
  - Looks at a machine, and names every reason why it will not do as a node, each with what to do about it. What its kernel can do is for
    M(closedloop.mobility.kernel_features).
  - Changes nothing.
options:
  addresses:
    description: Addresses that the node is to have.
    type: list
    elements: str
    required: true
  ports:
    description: TCP ports that a daemon of Kubernetes will listen on. They may be taken on a machine that is a node already.
    type: list
    elements: int
    default: []
  memory_mib:
    description: MiB of memory that it must have.
    type: int
    default: 1700
  processors:
    description: Processors that it must have.
    type: int
    default: 1
author:
  - The closedloop.mobility contributors (@closedloop)
seealso:
  - module: closedloop.mobility.kernel_features
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The machine is looked at
  closedloop.mobility.kubernetes_machine_info:
    addresses: [2001:db8:c::11, 192.0.2.11]
    ports: [6443, 10250]
  register: machine

- name: It will do
  ansible.builtin.assert:
    that: machine.problems == []
    fail_msg: "{{ inventory_hostname }}: {{ machine.problems | join('; ') }}"
"""

RETURN = r"""
problems:
  description: Reasons why the machine will not do, each with its remedy.
  returned: success
  type: list
  elements: str
  sample: ["it swaps to /dev/sda2; run swapoff --all and take the lines out of /etc/fstab"]
mtu:
  description: The least MTU of the links with O(addresses); 0 when one of them is on no link.
  returned: success
  type: int
  sample: 1500
cgroup_version:
  description: Version of its control groups, 1 or 2.
  returned: success
  type: int
  sample: 2
controllers:
  description: Their controllers.
  returned: success
  type: list
  elements: str
  sample: [cpu, cpuset, memory, pids]
may_raise_limits:
  description: Whether limits and out-of-memory scores can be raised there; in a container they often cannot.
  returned: success
  type: bool
  sample: true
open_files:
  description: The highest limit of open files that it can give.
  returned: success
  type: int
  sample: 1048576
joined:
  description: Whether it is a node of some cluster.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import kubernetes_machine


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=kubernetes_machine.ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**kubernetes_machine.run(module.params, check_mode=module.check_mode).result(diff=False))


if __name__ == "__main__":
    main()
