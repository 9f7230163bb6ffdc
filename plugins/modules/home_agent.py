#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Order a home agent to serve, to be emptied or to be cut off."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: home_agent
short_description: Order a home agent to serve, to be emptied or to be cut off
version_added: "0.1.0"
description:
  - Tells HA-B what a home agent is to do. HA-B carries it out in order, so that no home address is served by two.
  - The order is given and not waited for. See M(closedloop.mobility.home_agent_info).
notes:
  - In check mode a home agent that HA-B does not know would serve with O(state=serving) or O(state=active), as an earlier task may be
    the one that deploys it.
    A wrong name is then not noticed.
options:
  name:
    description: Name of the home agent.
    type: str
    required: true
  state:
    description:
      - V(serving) hands everything of the present owner over to this home agent, a ready standby.
      - V(active) lets a ready standby serve beside the others. It takes nothing over. Needs home agents with an address of their own.
        One that is being drained is not any more.
      - V(switched) asks the mobile nodes of O(home_addresses) that it serves to move to O(to). Those that it does not serve stay.
      - V(fenced) cuts the home agent off. Its addresses are free when its lease has ended, or at once with O(stopped).
      - V(drained) asks its mobile nodes to move to other home agents.
      - V(absent) makes HA-B forget a stopped home agent without bindings.
    type: str
    choices: [serving, active, switched, fenced, drained, absent]
    required: true
  to:
    description: The home agent that the mobile nodes move to with O(state=switched).
    type: str
  home_addresses:
    description: Home addresses of the mobile nodes that move with O(state=switched).
    type: list
    elements: str
  moves:
    description:
      - With O(state=active), mobile nodes that are asked to move once it serves, as O(state=switched) asks them.
      - Orders of the filter P(closedloop.mobility.balance_plan#filter) fit here.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The home agent that serves them. Those that it does not serve stay.
        type: str
        required: true
      to:
        description: The home agent that they move to.
        type: str
        required: true
      home_addresses:
        description: Their home addresses.
        type: list
        elements: str
        required: true
      bit_per_s:
        description: What they carry together in bit/s, as the plan says. Changes nothing.
        type: int
  previous_owner:
    description: Who hands over with O(state=serving). Needed where several home agents serve.
    type: str
    default: ""
  stopped:
    description: With O(state=fenced), asserts that the home agent certainly serves nothing any more, as its host is off.
    type: bool
    default: false
author:
  - The closedloop.mobility contributors (@closedloop)
extends_documentation_fragment:
  - closedloop.mobility.backend_api
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The standby takes over in order
  closedloop.mobility.home_agent:
    url: https://[2001:db8:be::1]:7311
    ca_file: /etc/closedloop/ca.pem
    token_file: /etc/closedloop/api.token
    name: ha-pp-b
    state: serving

- name: A mobile node moves to another home agent
  closedloop.mobility.home_agent:
    url: https://[2001:db8:be::1]:7311
    ca_file: /etc/closedloop/ca.pem
    token_file: /etc/closedloop/api.token
    name: ha-pp-a
    state: switched
    to: ha-pp-b
    home_addresses: [2001:db8:100::1001]

- name: A standby serves too, and relieves another one
  closedloop.mobility.home_agent:
    url: https://[2001:db8:be::1]:7311
    ca_file: /etc/closedloop/ca.pem
    token_file: /etc/closedloop/api.token
    name: ha-pp-b
    state: active
    moves:
      - name: ha-pp-a
        to: ha-pp-b
        home_addresses: [2001:db8:100::1001]
"""

RETURN = r"""
home_agent:
  description: The home agent after the order, as HA-B shows it.
  returned: success
  type: dict
  sample: {"name": "ha-pp-b", "state": "ready", "role": "active"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import backend_resources
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=backend_resources.HOME_AGENT_ARGUMENTS,
        supports_check_mode=True,
        required_if=backend_resources.HOME_AGENT_CHECKS["required_if"],
    )
    try:
        outcome = backend_resources.home_agent(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
