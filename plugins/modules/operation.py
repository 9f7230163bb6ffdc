#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plug-in of the same name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: operation
short_description: Begin and finish an operation of a control loop, once
version_added: "0.1.0"
description:
  - A reaction playbook begins with O(state=begun). Of all that try, one gets the operation, with a fencing token, and the others are told
    why they do not. So an onset may be delivered any number of times.
  - As long as the playbook runs its claim is kept up. When it is killed, another may begin at once, and goes on with what is half done.
  - An operation by hand is in the journal as one of a control loop is, and the two do not run at the same time. It asks no guard.
  - The Python package C(closedloop_loop) must be installed where C(ansible-playbook) runs.
notes:
  - Returned text comes from events. It is never a template, so use it rather than what is in O(onset).
  - In check mode nothing is written, and O(state=staged) and O(state=finished) do not look into the journal.
options:
  journal:
    description: The operations journal, an absolute path of an SQLite file or a C(postgresql://) URL without password. Made where absent.
    type: str
    required: true
  state:
    description:
      - V(begun) begins the operation of O(onset) or O(order), where it is not done already and nobody else carries it out.
      - V(staged) notes when O(stage) was reached. The first time counts.
      - V(finished) ends the attempt.
    type: str
    choices: [begun, staged, finished]
    required: true
  onset:
    description: The control loop message, as the event source C(closedloop.mobility.ves) hands it on.
    type: dict
    suboptions:
      closedLoopControlName:
        description: Name of the control loop.
        type: str
        required: true
      requestID:
        description: A UUID that stands for the cause.
        type: str
        required: true
      closedLoopEventStatus:
        description: Only V(ONSET) is acted upon.
        type: str
        choices: [ONSET, ABATED]
        required: true
      closedLoopAlarmStart:
        description: When it began, UNIX microseconds.
        type: int
        required: true
      closedLoopAlarmEnd:
        description: When it ended, UNIX microseconds.
        type: int
      target:
        description: The entity to act upon.
        type: str
        required: true
      targetType:
        description: What kind of entity it is.
        type: str
        choices: [VF_MODULE, VNF, VM]
        default: VF_MODULE
      reason:
        description: Alarm condition or figure.
        type: str
        required: true
      severity:
        description: Severity of a fault.
        type: str
      value:
        description: What was measured, of a threshold's figure.
        type: float
      limit:
        description: The level that was crossed, of a threshold.
        type: float
      aai_cloud_region_id:
        description: Region of the entity, where the event tells.
        type: str
      aai_generic_vnf_vnf_name:
        description: Network function of the entity, where the event tells.
        type: str
      aai_vf_module_vf_module_name:
        description: VF module of the entity, where the event tells.
        type: str
      aai_vserver_vserver_name:
        description: Server of the entity, where the event tells.
        type: str
      from:
        description: Who sends it.
        type: str
      version:
        description: Version of the message.
        type: str
  order:
    description: What a person has decided.
    type: dict
    suboptions:
      action:
        description: What is done.
        type: str
        choices: [failover, scale_out, scale_in, rebalance]
        required: true
      target:
        description: The entity acted upon.
        type: str
        required: true
      region:
        description: Where a new VF module goes. Left out, the playbook chooses.
        type: str
        default: ""
      reason:
        description: Why, in words for the journal.
        type: str
        default: ordered by hand
  request_id:
    description: The operation, as O(state=begun) returned it.
    type: str
  token:
    description: Its fencing token, as O(state=begun) returned it. The task fails where another has taken over.
    type: int
  stage:
    description: Name of the stage that is reached.
    type: str
  succeeded:
    description: Whether the attempt has done what was to be done.
    type: bool
  message:
    description: The outcome in words. The first 500 letters are kept.
    type: str
    default: ""
author:
  - The closedloop.mobility contributors (@closedloop)
extends_documentation_fragment:
  - closedloop.mobility.in_process
"""

EXAMPLES = r"""
- name: The operation is begun
  closedloop.mobility.operation:
    journal: "{{ operations_journal }}"
    state: begun
    onset: "{{ onset | default(omit) }}"
    order: "{{ omit if onset is defined else {'action': 'failover', 'target': 'ha-pp-a'} }}"
  register: reaction_begun

- name: It is done already, or somebody else is at it
  ansible.builtin.meta: end_play
  when: not reaction_begun.begun

- name: The successor serves
  closedloop.mobility.operation:
    journal: "{{ operations_journal }}"
    state: staged
    request_id: "{{ reaction_begun.operation.request_id }}"
    token: "{{ reaction_begun.operation.token }}"
    stage: function_ready

- name: The operation is finished
  closedloop.mobility.operation:
    journal: "{{ operations_journal }}"
    state: finished
    request_id: "{{ reaction_begun.operation.request_id }}"
    token: "{{ reaction_begun.operation.token }}"
    succeeded: true
"""

RETURN = r"""
begun:
  description: Whether this playbook carries the operation out.
  returned: with O(state=begun)
  type: bool
reason:
  description: Why it was decided, or why it is not begun.
  returned: with O(state=begun)
  type: str
  sample: homeAgentLost (CRITICAL); region-b has room for 2 of 2, anti-affinity preferred
operation:
  description: The operation, or the one that stands in the way where it is not begun.
  returned: success, but with O(state=staged) and O(state=finished) not in check mode
  type: dict
  contains:
    request_id:
      description: A UUID.
      type: str
    token:
      description: Fencing token, which grows with every claim.
      type: int
    action:
      description: What is to be done.
      type: str
    target:
      description: The entity to act upon.
      type: str
    region:
      description: Where a new VF module goes. Empty where the playbook is to choose.
      type: str
    loop:
      description: Name of the control loop, or C(by-hand).
      type: str
    attempt:
      description: Number of the attempt.
      type: int
    resumptions:
      description: How often an actor was lost over it.
      type: int
    state:
      description: State in the journal.
      type: str
    alarm:
      description: Alarm condition or figure of the onset.
      type: str
    severity:
      description: Severity of a fault.
      type: str
    value:
      description: What was measured.
      type: float
    limit:
      description: The level that was crossed.
      type: float
"""
