#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A daemon in a network namespace."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: netns_process
short_description: A daemon that runs in a network namespace with few capabilities
version_added: "0.1.0"
description:
  - Starts a program in a named network namespace, detached from the play, and knows it again in later runs.
  - The process is identified by its id and its start time, so another process is never stopped in its place.
  - It is restarted when O(argv), O(environment), O(capabilities), the namespace or the content of a watched file has changed.
  - Standard output and standard error are appended to C(DIRECTORY/NAME.log), readable by root only.
options:
  name:
    description: Name of the record and the log, 1 to 63 letters, digits, C(.), C(_) or C(-).
    type: str
    required: true
  directory:
    description: Directory of the record, the lock and the log. It is made when missing.
    type: path
    required: true
  state:
    description:
      - V(started) starts the process unless it runs already as wanted.
      - V(absent) ends it with SIGTERM, then SIGKILL, and removes its record. The log stays.
    type: str
    choices: [started, absent]
    default: started
  namespace:
    description: Network namespace to run in. Required with O(state=started).
    type: str
  argv:
    description: Program and arguments, no shell. Required with O(state=started).
    type: list
    elements: str
  environment:
    description: Environment variables beside C(PATH), C(HOME) and C(LANG). Nothing is inherited from the play.
    type: dict
    default: {}
  capabilities:
    description: Capabilities that the process may have, such as V(net_admin). All others are taken away for good.
    type: list
    elements: str
    default: []
  watch:
    description: Files whose content the process read when it started, such as its configuration.
    type: list
    elements: path
    default: []
  grace_ms:
    description: Milliseconds between SIGTERM and SIGKILL.
    type: int
    default: 5000
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - setpriv of util-linux
seealso:
  - module: closedloop.mobility.netns
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: Router advertisements are sent on the access link
  closedloop.mobility.netns_process:
    name: radvd
    directory: /run/demo/router
    namespace: demo-router
    argv: [radvd, --nodaemon, --config, /run/demo/router/radvd.conf, --pidfile, /run/demo/router/radvd.pid]
    capabilities: [net_admin, net_raw]
    watch: [/run/demo/router/radvd.conf]

- name: No more
  closedloop.mobility.netns_process:
    name: radvd
    directory: /run/demo/router
    state: absent
"""

RETURN = r"""
pid:
  description: Id of the process, 0 where there is none.
  returned: success
  type: int
  sample: 4711
log:
  description: File that holds what the process printed.
  returned: with O(state=started)
  type: str
  sample: /run/demo/router/radvd.log
restarted:
  description: Whether a process that ran before was replaced.
  returned: with O(state=started)
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.closedloop.mobility.plugins.module_utils import processes
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=processes.ARGUMENT_SPEC, required_if=processes.REQUIRED_IF, supports_check_mode=True)
    try:
        outcome = processes.run(module.params, check_mode=module.check_mode)
    except MobilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result(diff=module._diff))


if __name__ == "__main__":
    main()
