#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A program built once from Go modules."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: go_build
short_description: A program built once from Go modules
version_added: "0.1.0"
description:
  - Builds one program from a directory with C(go.mod) and C(go.sum), which pin every module that goes into it, and keeps it by the hash of
    all inputs. A second task with the same inputs finds it, and needs neither Go nor a network.
  - What is fetched must have the sums of C(go.sum). Fetched modules and compiled packages are kept, too, so that the next version, or
    another program of the same modules, takes a fraction of the time.
  - A build that fails or is killed leaves nothing but its log.
options:
  name:
    description: Name of the program's file.
    type: str
    required: true
  source:
    description: Directory with C(go.mod), C(go.sum), and C(main.go) where the program is one of its own.
    type: path
    required: true
  package:
    description: Import path of the program.
    type: str
    default: .
  variables:
    description: Values of Go variables that the linker sets, by their full name, as C(main.version).
    type: dict
    default: {}
  tags:
    description: Build tags.
    type: list
    elements: str
    default: []
  cgo:
    description: Whether the program has parts in C. Without it the program needs no library of the machine that it runs on.
    type: bool
    default: false
  cache_directory:
    description: Directory of programs, modules and compiled packages. They are in C(go/) there.
    type: path
    default: /var/cache/closedloop
  space_mib:
    description: MiB that must be free there before a build begins.
    type: int
    default: 6144
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - Go, of the version that C(go.mod) asks for or newer, in C(PATH) or in C(/usr/local/go)
seealso:
  - module: closedloop.mobility.scratch_image
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The program kubeadm is built
  closedloop.mobility.go_build:
    name: kubeadm
    source: "{{ role_path }}/files/go/kubernetes"
    package: k8s.io/kubernetes/cmd/kubeadm
    variables:
      k8s.io/component-base/version.gitVersion: v1.34.4
  register: kubeadm

- name: It is installed
  ansible.builtin.copy:
    src: "{{ kubeadm.file }}"
    dest: /usr/local/bin/kubeadm
    mode: "0755"
"""

RETURN = r"""
file:
  description: Where the program is, or would be.
  returned: success
  type: str
  sample: /var/cache/closedloop/go/programs/5f0c52a8d2f41a4b/kubeadm
build_s:
  description: Seconds that the build took when it was made.
  returned: when it is there
  type: int
  sample: 31
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import go_build
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=go_build.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = go_build.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
