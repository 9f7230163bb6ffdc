#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Wait until packets get through."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: netns_reachable
short_description: Wait until packets get from namespaces to addresses and back
version_added: "0.1.0"
description:
  - Sends ICMPv6 echo requests on all given paths at the same time, again and again, until each has been answered once.
  - Changes nothing. In check mode nothing is sent either.
options:
  paths:
    description: The paths.
    type: list
    elements: dict
    required: true
    suboptions:
      namespace:
        description: Namespace that sends.
        type: str
        required: true
      to:
        description: IPv6 address that shall answer.
        type: str
        required: true
      from:
        description: Source address. Without it the kernel chooses.
        type: str
  timeout_ms:
    description: Milliseconds after which a path without an answer is an error.
    type: int
    default: 5000
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - ping of iputils
seealso:
  - module: closedloop.mobility.netns
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The host reaches its router
  closedloop.mobility.netns_reachable:
    paths:
      - namespace: demo-host
        to: 2001:db8:1::1
    timeout_ms: 2000
"""

RETURN = r"""
paths:
  description: The paths that were tried.
  returned: success
  type: list
  elements: str
  sample: ["demo-host -> 2001:db8:1::1"]
waited_ms:
  description: Milliseconds until the last path had answered.
  returned: success
  type: int
  sample: 12
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import reachability
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=reachability.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = reachability.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
