#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A control loop that is ready."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: control_loop_info
short_description: Wait until a control loop takes events and can start playbooks
version_added: "0.1.0"
description:
  - Waits until the event source answers C(GET /healthcheck) with status 200, and the warm runner greets at its socket.
  - In check mode there is no waiting.
options:
  url:
    description: Root of the VES listener.
    type: str
    required: true
  ca_file:
    description: PEM file with the authority of the listener's certificate.
    type: path
    required: true
  runner_socket:
    description: Socket of the warm runner, where there is one.
    type: path
  process_records:
    description:
      - Records of the loop's processes, as M(closedloop.mobility.netns_process) keeps them.
      - When one of these has ended the waiting ends too, with the last line of its log.
    type: list
    elements: path
    default: []
  timeout_ms:
    description: Milliseconds within which it must be ready.
    type: int
    default: 30000
author:
  - The closedloop.mobility contributors (@closedloop)
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The loop is ready
  closedloop.mobility.control_loop_info:
    url: https://[2001:db8:be::2]:8443
    ca_file: /etc/closedloop/ves-ca.pem
    runner_socket: /run/closedloop/runner/socket
"""

RETURN = r"""
waited_ms:
  description: Milliseconds until it was ready.
  returned: success
  type: int
  sample: 3100
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import control_loop
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=control_loop.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = control_loop.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
