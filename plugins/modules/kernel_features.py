#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What the kernels of a host can do of Mobile IPv6."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kernel_features
short_description: What the kernels of a host can do of Mobile IPv6
version_added: "0.1.0"
description:
  - Tells of the running kernel, and of those whose configuration is in O(boot_directory), which of the given symbols they lack.
  - With O(proof) it sends packets of Mobile IPv6 through the running kernel, in network namespaces that nothing else is in and that are
    gone afterwards. In check mode nothing is sent.
  - Changes nothing, except that the kernel may load its modules for what is proved.
options:
  proof:
    description: Whether packets are sent.
    type: bool
    default: false
  boot_directory:
    description: Directory of the installed kernels and their configurations.
    type: path
    default: /boot
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - iproute2 and root, for the proof
seealso:
  - module: closedloop.mobility.kernel_build
extends_documentation_fragment:
  - closedloop.mobility.in_process
  - closedloop.mobility.kernel_symbols
"""

EXAMPLES = r"""
- name: The kernel is looked at
  closedloop.mobility.kernel_features:
    symbols:
      - name: IPV6_MIP6
      - name: IPV6_TUNNEL
      - name: INET6_XFRM_MODE_ROUTEOPTIMIZATION
        dropped_in: "5.2"
        because: it is part of CONFIG_XFRM
    proof: true
  register: kernel

- name: It takes Home Address options
  ansible.builtin.assert:
    that: kernel.proof.home_address_option.works
    fail_msg: "{{ kernel.proof.home_address_option.detail }}"
"""

RETURN = r"""
running:
  description: The running kernel.
  returned: success
  type: dict
  contains:
    release:
      description: Its release.
      type: str
      sample: 6.1.0-18-amd64
    config:
      description: File that its configuration was found in.
      type: str
      sample: /proc/config.gz
    complete:
      description: Whether it has all symbols.
      type: bool
      sample: false
    missing:
      description: Symbols that it lacks.
      type: list
      elements: str
      sample: [IPV6_MIP6]
    not_needed:
      description: Symbols that its release does without, and why.
      type: dict
      sample: {INET6_XFRM_MODE_ROUTEOPTIMIZATION: "since 5.2: it is part of CONFIG_XFRM"}
installed:
  description: The same of each kernel whose configuration is in O(boot_directory), the latest release last.
  returned: success
  type: list
  elements: dict
proof:
  description:
    - What the packets have shown, by feature, C(mobility_header), C(home_address_option), C(type_2_routing_header), C(ipv6_in_ipv6) and
      C(xfrm_sub_policy).
  returned: when O(proof=true) and not in check mode
  type: dict
  sample:
    home_address_option:
      works: true
      detail: from 2001:db8:c::1 on the link, from 2001:db8:a::1 at the socket
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_features
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=kernel_features.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = kernel_features.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
