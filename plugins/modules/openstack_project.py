#!/usr/bin/python
# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks and servers of a deployment in an OpenStack project. Its action plug-in does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: openstack_project
short_description: Networks and servers of a deployment in an OpenStack project
version_added: "0.1.0"
description:
  - Reads the project once, compares it with the declaration, and calls modules of C(openstack.cloud) for the differences only, as many at
    a time as O(parallel). Each is called as soon as what it needs is there.
  - Nothing is made if any part of the declaration is wrong, is not in the cloud, has a name that something foreign has, or does not
    fit in a quota.
  - What is made is named C(<deployment>-<name>), and says by description, tag or metadata which deployment it is of. Nothing else is
    changed or removed.
  - The role P(closedloop.mobility.openstack_project#role) has what the lists hold, field by field.
options:
  cloud:
    description: Name of the cloud in C(clouds.yaml).
    type: str
    required: true
  deployment:
    description: Identity of what is made.
    type: str
    required: true
  state:
    description: C(absent) removes all that the deployment has made, whatever is declared.
    type: str
    choices: [present, absent]
    default: present
  networks:
    description: Networks and their subnets.
    type: list
    elements: dict
    default: []
  routers:
    description: Routers of the cloud.
    type: list
    elements: dict
    default: []
  security_groups:
    description: Security groups and their rules.
    type: list
    elements: dict
    default: []
  public_key:
    description: Public key of the deployment's keypair.
    type: str
    default: ""
  images:
    description: Images that are uploaded.
    type: list
    elements: dict
    default: []
  flavors:
    description: Flavors that are made, which takes an administrator's rights.
    type: list
    elements: dict
    default: []
  server_groups:
    description: Server groups.
    type: list
    elements: dict
    default: []
  servers:
    description: Servers with their ports and volumes.
    type: list
    elements: dict
    default: []
  access_network:
    description: Network of the port that each server is reached by.
    type: str
    default: ""
  floating_network:
    description: External network of floating addresses for these ports.
    type: str
    default: ""
  server_timeout_s:
    description: Seconds within which a server must be active, or gone.
    type: int
    default: 300
  parallel:
    description: How many things are made at a time.
    type: int
    default: 4
author:
  - The closedloop.mobility contributors (@closedloop)
requirements:
  - openstacksdk 4.14.0 and the collection openstack.cloud, for Ansible's own Python interpreter
extends_documentation_fragment:
  - closedloop.mobility.in_process
notes:
  - Runs in the controller's process, on localhost.
"""

EXAMPLES = r"""
- name: A network and a server are there
  closedloop.mobility.openstack_project:
    cloud: lab
    deployment: mip6
    networks:
      - name: home
        subnets:
          - name: home-6
            cidr: 2001:db8:100::/64
            addressing: static
    servers:
      - name: ha-a
        roles: [home_agent_hosts]
        image: debian-12
        flavor: m1.small
        ports:
          - network: home
            addresses: [2001:db8:100::a]
            allowed_addresses: [2001:db8:100::/64]

- name: What would be removed is known
  closedloop.mobility.openstack_project:
    cloud: lab
    deployment: mip6
    state: absent
  check_mode: true
  register: removal
"""

RETURN = r"""
steps:
  description: What has been done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: network
      name: mip6-home
      verb: create
undeclared:
  description: What the deployment has made and is declared no more. It stays until O(state=absent).
  returned: success
  type: list
  elements: str
  sample: [server/mip6-cn2]
hosts:
  description: The declared servers that are there.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name in the cloud.
      type: str
      sample: mip6-ha-a
    id:
      description: Its id.
      type: str
      sample: 6ab0cb1e-0c8f-4d0c-8f0f-3c1c5c0c4f5b
    roles:
      description: Its groups.
      type: list
      elements: str
      sample: [home_agent_hosts]
    address:
      description: Where it is reached.
      type: str
      sample: 2001:db8:100::a
    addresses:
      description: Its addresses by network.
      type: dict
      sample: {home: ["2001:db8:100::a"]}
    compute_host:
      description: Where it runs, for administrators.
      type: str
      sample: compute1
times:
  description:
    - Where the time went, as text in C(lines). C(kinds) has the calls, the milliseconds that they waited for the cloud, and the rest,
      by kind of thing. C(api_ms) is the sum of all waiting, as if one had been made after the other, C(wall_ms) what it took.
  returned: success
  type: dict
  sample:
    kinds: {read: {calls: 1, api_ms: 610, own_ms: 40}}
    api_ms: 610
    wall_ms: 660
    wall_to_api_ratio: 1.08
"""
