#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Home agents as HA-B sees them, once a condition is met."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: home_agent_info
short_description: Home agents as HA-B sees them, once a condition is met
version_added: "0.1.0"
description:
  - Lists the HA-PPs that HA-B knows, with state, role and number of bindings.
  - Can wait until one of them is ready, serves, has stopped or has no binding left.
options:
  name:
    description: Only this home agent.
    type: str
  bindings:
    description: Whether their bindings are told too, in the same call.
    type: bool
    default: false
  wait_for:
    description:
      - V(answer) is content with any answer of HA-B.
      - V(ready) waits until the home agent has all bindings and its socket is open.
      - V(serving) waits until the home agent, or any where none is named, is ready and active.
      - V(stopped) waits until it is proven that the home agent serves nothing.
      - V(empty) waits until the home agent has no binding, and forwards nothing of mobile nodes that have left it.
      - In check mode there is no waiting.
    type: str
    choices: [answer, ready, serving, stopped, empty]
    default: answer
  process_record:
    description:
      - Record of the process that is waited for, as M(closedloop.mobility.netns_process) keeps it.
      - When the process has ended the waiting ends too, with the last line of its log.
    type: path
  timeout_ms:
    description: Milliseconds after which a condition that is not met is an error. So long it is also tried to reach HA-B.
    type: int
    default: 10000
author:
  - The closedloop.mobility contributors (@closedloop)
extends_documentation_fragment:
  - closedloop.mobility.backend_api
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The home agent is ready
  closedloop.mobility.home_agent_info:
    url: https://[2001:db8:be::1]:7311
    ca_file: /etc/closedloop/ca.pem
    token_file: /etc/closedloop/api.token
    name: ha-pp-b
    wait_for: ready
"""

RETURN = r"""
home_agents:
  description: The home agents, as C(GET /v1/home-agents) of HA-B shows them.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "ha-pp-b", "state": "ready", "role": "active", "region": "region-b", "bindings": 2,
            "from_node_bit_per_s": 1200, "to_node_bit_per_s": 98000}]
bindings:
  description: Their bindings, as M(closedloop.mobility.binding_info) returns them.
  returned: when O(bindings=true)
  type: list
  elements: dict
  sample: [{"home_address": "2001:db8:c::1001", "care_of_address": "2001:db8:1::1001", "owner": "ha-pp-b",
            "from_node_bit_per_s": 1200, "to_node_bit_per_s": 98000}]
waited_ms:
  description: Milliseconds until the condition was met.
  returned: success
  type: int
  sample: 40
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import backend_resources
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=backend_resources.HOME_AGENT_INFO_ARGUMENTS,
        supports_check_mode=True,
        required_if=backend_resources.HOME_AGENT_INFO_CHECKS["required_if"],
    )
    try:
        outcome = backend_resources.home_agent_info(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
