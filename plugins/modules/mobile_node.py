#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A mobile node's security association in HA-B."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mobile_node
short_description: A mobile node's security association in HA-B
version_added: "0.1.0"
description:
  - Stores or removes the key that a mobile node shares with its home network (RFC 4285).
  - HA-B never shows a key, and compares it itself.
notes:
  - In check mode only the index O(spi) is compared with what HA-B has. A key that differs under the same index is reported as unchanged.
options:
  home_address:
    description: Home address of the mobile node.
    type: str
    required: true
  spi:
    description: Index of the security association, at least 256. Needed with O(state=present).
    type: int
  key:
    description: The key in hexadecimal, 16 to 64 octets. This or O(key_file) is needed with O(state=present).
    type: str
  key_file:
    description: File with the key in hexadecimal.
    type: path
  state:
    description: Whether HA-B knows the mobile node. V(absent) also ends its binding.
    type: str
    choices: [present, absent]
    default: present
author:
  - The closedloop.mobility contributors (@closedloop)
extends_documentation_fragment:
  - closedloop.mobility.backend_api
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The home network knows the mobile node
  closedloop.mobility.mobile_node:
    url: https://[2001:db8:be::1]:7311
    ca_file: /etc/closedloop/ca.pem
    token_file: /etc/closedloop/api.token
    home_address: 2001:db8:100::1001
    spi: 256
    key_file: /etc/closedloop/mn1.key
"""

RETURN = r"""
home_address:
  description: The home address in its shortest form.
  returned: success
  type: str
  sample: 2001:db8:100::1001
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import backend_resources
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=backend_resources.MOBILE_NODE_ARGUMENTS,
        supports_check_mode=True,
        required_if=backend_resources.MOBILE_NODE_CHECKS["required_if"],
        mutually_exclusive=backend_resources.MOBILE_NODE_CHECKS["mutually_exclusive"],
    )
    try:
        outcome = backend_resources.mobile_node(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
