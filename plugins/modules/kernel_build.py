#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A kernel built once from given inputs."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kernel_build
short_description: A kernel built once from given inputs
version_added: "0.1.0"
description:
  - Builds a kernel from an archive of its source and keeps what came of it, by the hash of all inputs and of the compiler's version. A
    second task with the same inputs finds it.
  - The configuration is the base with the symbols and options merged in. When the source did not take one of them, because it does not know
    it or what it depends on is off, the task fails before anything is compiled, and names it.
  - A build that fails or is killed leaves nothing but its log. The next one has the compiler's cache, where ccache is installed.
  - The kernel's release ends in C(-mipv6-) and the first eight digits of the hash, unless O(options)
    has another C(LOCALVERSION).
options:
  source:
    description: A tar archive of a kernel's source, as C(/usr/src/linux-source-6.1.tar.xz) of the package linux-source.
    type: path
    required: true
  sha256:
    description: Sum that the archive must have.
    type: str
  base_config:
    description: The configuration to begin with, its text. Without one everything is off that is not asked for.
    type: str
    default: ""
  options:
    description: Further symbols and their values, C(y), C(m), C(n), a number or a text.
    type: dict
    default: {}
  kind:
    description:
      - V(packages) are Debian packages for this machine's architecture.
      - V(user_mode_linux) is a program that is a kernel, for tests.
    type: str
    choices: [packages, user_mode_linux]
    default: packages
  cache_directory:
    description: Directory of the kernels and of the compiler's cache.
    type: path
    default: /var/cache/closedloop
  space_mib:
    description: MiB that must be free there before a build begins.
    type: int
    default: 3072
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - gcc, make, bc, bison, flex, xz-utils, and for packages cpio, dpkg-dev, fakeroot, kmod, libelf-dev, libssl-dev, rsync
seealso:
  - module: closedloop.mobility.kernel_features
extends_documentation_fragment:
  - closedloop.mobility.in_process
  - closedloop.mobility.kernel_symbols
"""

EXAMPLES = r"""
- name: A kernel with Mobile IPv6 is built
  closedloop.mobility.kernel_build:
    source: /usr/src/linux-source-6.1.tar.xz
    base_config: "{{ lookup('ansible.builtin.file', '/boot/config-6.1.0-18-amd64') }}"
    symbols:
      - name: IPV6_MIP6
      - name: IPV6_TUNNEL
    options:
      SYSTEM_TRUSTED_KEYS: ""
  register: kernel

- name: It is installed
  ansible.builtin.apt:
    deb: "{{ kernel.files[0] }}"
"""

RETURN = r"""
directory:
  description: Where the kernel is, or would be.
  returned: success
  type: str
  sample: /var/cache/closedloop/kernel/5f0c52a8d2f41a4b
files:
  description: The packages, or the program. Empty in check mode when there is nothing yet.
  returned: success
  type: list
  elements: str
  sample: [/var/cache/closedloop/kernel/5f0c52a8d2f41a4b/linux-image-6.1.176-mipv6-5f0c52a8_1_amd64.deb]
release:
  description: What C(uname -r) will say. Empty in check mode when there is nothing yet.
  returned: success
  type: str
  sample: 6.1.176-mipv6-5f0c52a8
build_s:
  description: Seconds that the build took when it was made.
  returned: when it is there
  type: int
  sample: 240
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_build
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=kernel_build.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = kernel_build.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
