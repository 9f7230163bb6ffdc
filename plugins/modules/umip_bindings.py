#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The binding cache of UMIP."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: umip_bindings
short_description: The binding cache of a UMIP daemon
version_added: "0.1.0"
description:
  - Reads the binding cache of mip6d through its virtual terminal, which a build with C(--enable-vt) has.
  - That the terminal answers is also the proof that the daemon is alive.
options:
  host:
    description: Address of the virtual terminal. UMIP listens on the host itself only.
    type: str
    default: "::1"
  port:
    description: TCP port of the virtual terminal.
    type: int
    default: 7777
  timeout_ms:
    description: Milliseconds within which the whole answer must be there.
    type: int
    default: 5000
author:
  - The closedloop.mobility contributors (@closedloop)
notes:
  - Nothing is changed, in check mode, too.
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The home agent tells its bindings
  closedloop.mobility.umip_bindings:
  register: umip

- name: The mobile node is registered
  ansible.builtin.assert:
    that: "'2001:db8:100::1001' in umip.bindings | map(attribute='home_address')"
"""

RETURN = r"""
bindings:
  description: The entries of the binding cache.
  returned: success
  type: list
  elements: dict
  contains:
    home_address:
      description: Home address of the mobile node.
      type: str
    care_of_address:
      description: Where it is.
      type: str
    home_agent_address:
      description: Address that it is registered at.
      type: str
    status:
      description: One of C(registered), C(cached), C(dying), C(dad) and C(unknown).
      type: str
    flags:
      description: Those of C(A), C(H), C(L) and C(K) that its Binding Update had.
      type: str
    lifetime_s:
      description: Lifetime granted in seconds.
      type: int
    remaining_s:
      description: Seconds left of it, negative when it is over, none where UMIP does not tell it.
      type: int
    sequence:
      description: Sequence number of its last Binding Update.
      type: int
    mobile_network_prefixes:
      description: Prefixes of the network that moves with it (RFC 3963).
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import umip_vt
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=umip_vt.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = umip_vt.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
