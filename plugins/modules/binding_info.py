#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Bindings in HA-B's cache, once a condition is met."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: binding_info
short_description: Bindings in HA-B's cache, once a condition is met
version_added: "0.1.0"
description:
  - Lists the bindings of mobile nodes, all of them or those that match.
  - Can wait until a matching binding is there or gone.
options:
  home_address:
    description: Only the binding of this home address.
    type: str
  home_addresses:
    description: Only the bindings of these home addresses.
    type: list
    elements: str
  owner:
    description: Only bindings that this home agent serves.
    type: str
  care_of_prefix:
    description: Only bindings whose care-of address is in this prefix.
    type: str
  wait_for:
    description:
      - V(answer) is content with any answer of HA-B.
      - V(bound) waits until there is a matching binding, with O(home_addresses) one of each. V(unbound) waits until there is none.
      - In check mode there is no waiting.
    type: str
    choices: [answer, bound, unbound]
    default: answer
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
- name: The mobile node is bound to its new link
  closedloop.mobility.binding_info:
    url: https://[2001:db8:be::1]:7311
    ca_file: /etc/closedloop/ca.pem
    token_file: /etc/closedloop/api.token
    home_address: 2001:db8:100::1001
    care_of_prefix: 2001:db8:2::/64
    wait_for: bound
"""

RETURN = r"""
bindings:
  description: The matching bindings, as C(GET /v1/bindings) of HA-B shows them.
  returned: success
  type: list
  elements: dict
  sample: [{"home_address": "2001:db8:100::1001", "care_of_address": "2001:db8:2::7", "owner": "ha-pp-b",
            "from_node_bit_per_s": 0, "to_node_bit_per_s": 98000}]
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
        argument_spec=backend_resources.BINDING_INFO_ARGUMENTS,
        supports_check_mode=True,
        required_if=backend_resources.BINDING_INFO_CHECKS["required_if"],
        mutually_exclusive=backend_resources.BINDING_INFO_CHECKS["mutually_exclusive"],
    )
    try:
        outcome = backend_resources.binding_info(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
