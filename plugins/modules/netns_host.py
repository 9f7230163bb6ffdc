#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A host of the lab and what runs in it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: netns_host
short_description: A host of the lab, its links, its files and its daemon in one task
version_added: "0.1.0"
description:
  - Does the work of four modules, one after the other, in one task, where each task more would make an outage longer.
  - Each option takes the options of the module of that name. All are checked before anything is changed.
options:
  netns:
    description: Options of M(closedloop.mobility.netns).
    type: dict
    required: true
  netns_link:
    description: Options of M(closedloop.mobility.netns_link).
    type: dict
    required: true
  file_set:
    description:
      - Options of M(closedloop.mobility.file_set), without secrets.
    type: dict
    required: true
  netns_process:
    description: Options of M(closedloop.mobility.netns_process). Without them no process is looked after.
    type: dict
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - pyroute2
  - setpriv of util-linux
seealso:
  - module: closedloop.mobility.netns
  - module: closedloop.mobility.netns_link
  - module: closedloop.mobility.file_set
  - module: closedloop.mobility.netns_process
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: A router advertises its prefix
  closedloop.mobility.netns_host:
    netns:
      namespaces:
        - name: demo-router
    netns_link:
      fabric: demo-fabric
      interfaces:
        - namespace: demo-router
          name: eth0
          link: access
          addresses: ["2001:db8:1::1/64"]
    file_set:
      files:
        - path: /run/demo/router/radvd.conf
          content: "interface eth0 { AdvSendAdvert on; };"
    netns_process:
      name: radvd
      directory: /run/demo/router
      namespace: demo-router
      argv: [radvd, --nodaemon, --config, /run/demo/router/radvd.conf, --pidfile, /run/demo/router/radvd.pid]
      capabilities: [net_admin, net_raw]
      watch: [/run/demo/router/radvd.conf]
"""

RETURN = r"""
netns:
  description: What M(closedloop.mobility.netns) returns.
  returned: success
  type: dict
netns_link:
  description: What M(closedloop.mobility.netns_link) returns.
  returned: success
  type: dict
file_set:
  description: What M(closedloop.mobility.file_set) returns.
  returned: success
  type: dict
netns_process:
  description: What M(closedloop.mobility.netns_process) returns.
  returned: with O(netns_process)
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import netns_host
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=netns_host.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = netns_host.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
