#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Small files with exactly a given content."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: file_set
short_description: Several small files with exactly a given content and mode
version_added: "0.1.0"
description:
  - Writes all files of a daemon's configuration in one task, each atomically.
  - Contents given as O(files[].secret) are never shown, neither in results nor in differences.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path. Missing directories are made.
        type: path
        required: true
      content:
        description: The content, to be shown in differences.
        type: str
      secret:
        description: The content, never to be shown. Others than the owner may not have access, see O(files[].mode).
        type: str
      random_octets:
        description:
          - Makes a secret of that many random octets, 16 to 1024, in hexadecimal, where the file is missing or empty.
          - A secret that is there stays.
        type: int
      copy_of:
        description:
          - The content is that of this file on the same host, never to be shown. For a secret that a daemon with another user reads.
        type: path
      directory_of:
        description:
          - The path is a directory, which belongs to this user with all it holds. A name, or a number that stands for the group, too.
        type: str
      mode:
        description: Permissions of a file in octal, as a string.
        type: str
        default: "0644"
      owner:
        description:
          - The file belongs to this user. A name, or a number that stands for the group, too. Without it the owner is who writes it.
        type: str
  state:
    description: Whether the files are there. With V(absent) a path may also be a directory, which goes with all it holds.
    type: str
    choices: [present, absent]
    default: present
author:
  - The closedloop.mobility contributors (@closedloop)
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The daemon's configuration is in place
  closedloop.mobility.file_set:
    files:
      - path: /etc/demo/daemon.yml
        content: "{{ lookup('ansible.builtin.template', 'daemon.yml.j2') }}"
      - path: /etc/demo/token
        secret: "{{ demo_token }}"
        mode: "0600"
      - path: /var/lib/demo
        directory_of: demo
"""

RETURN = r"""
paths:
  description: All paths given.
  returned: success
  type: list
  elements: str
  sample: [/etc/demo/daemon.yml, /etc/demo/token]
changed_paths:
  description: Those that were written or removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/demo/token]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import file_set
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=file_set.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = file_set.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
