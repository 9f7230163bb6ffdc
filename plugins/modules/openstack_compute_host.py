#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A compute host is emptied of a deployment's servers, or takes servers again."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: openstack_compute_host
short_description: A compute host is emptied of a deployment's servers, or takes servers again
version_added: "0.1.0"
description:
  - C(drained) disables the compute host, so that the scheduler puts nothing more there, and migrates the deployment's servers away, one
    after the other. Servers of others stay.
  - Where anti-affinity would leave a server no host, nothing is begun.
  - A run that was killed can be done again. It waits for a migration that is under way, and confirms one that waits for that.
options:
  cloud:
    description: Name of a cloud in C(clouds.yaml) with an administrator's credentials.
    type: str
    required: true
  name:
    description: The compute host, as nova calls it.
    type: str
    required: true
  deployment:
    description: The deployment whose servers are migrated.
    type: str
    required: true
  state:
    description: What is to be true. C(in_service) enables the host; nothing is migrated back.
    type: str
    choices: [drained, in_service]
    default: drained
  migration:
    description:
      - C(live) moves a running server with its memory. C(cold) stops it for as long as it takes. A server that is stopped is always
        migrated cold.
    type: str
    choices: [live, cold]
    default: live
  timeout_s:
    description: Seconds within which each server must be elsewhere.
    type: int
    default: 300
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - openstacksdk 4.14.0
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: No server of ours is on compute1
  closedloop.mobility.openstack_compute_host:
    cloud: admin
    name: compute1
    deployment: mip6

- name: It takes servers again
  closedloop.mobility.openstack_compute_host:
    cloud: admin
    name: compute1
    deployment: mip6
    state: in_service
"""

RETURN = r"""
migrated:
  description: The servers that were migrated, and the milliseconds it took. In check mode C(to) is C(another).
  returned: success
  type: list
  elements: dict
  sample:
    - name: mip6-kube-a2
      from: compute1
      to: compute3
      ms: 5120
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import openstack_compute_host
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=openstack_compute_host.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = openstack_compute_host.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
