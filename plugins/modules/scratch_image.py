#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A container image of a few files, in an archive."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scratch_image
short_description: A container image of a few files, in an archive
version_added: "0.1.0"
description:
  - Writes an image that begins with nothing and has the given files, and keeps its archive by the hash of all inputs. It needs no engine,
    no registry and no base image. The same files give the same image.
  - A program that is linked dynamically brings its libraries, those of this machine.
options:
  name:
    description: The image's name with its tag.
    type: str
    required: true
  files:
    description: Files of the image.
    type: list
    elements: dict
    required: true
    suboptions:
      src:
        description: Where the file is on this machine.
        type: path
        required: true
      dest:
        description: Absolute path of the file in the image.
        type: str
        required: true
  entrypoint:
    description: What a container runs when it is not told otherwise.
    type: list
    elements: str
    default: []
  cache_directory:
    description: Directory of archives. They are in C(images/) there.
    type: path
    default: /var/cache/closedloop
author:
  - The closedloop.mobility contributors (@closedloop)
seealso:
  - module: closedloop.mobility.go_build
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: A program has an image
  closedloop.mobility.scratch_image:
    name: localhost/kubernetes/coredns:v1.14.7
    files:
      - src: /var/cache/closedloop/go/programs/5f0c52a8d2f41a4b/coredns
        dest: /coredns
    entrypoint: [/coredns]
"""

RETURN = r"""
file:
  description: Where the archive is, or would be. C(ctr images import), C(podman load) and C(docker load) read it.
  returned: success
  type: str
  sample: /var/cache/closedloop/images/5f0c52a8d2f41a4b/image.tar
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import scratch_image
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=scratch_image.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = scratch_image.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
