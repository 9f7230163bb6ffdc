# Copyright: the closedloop.mobility authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""ONAP VES events as an event source."""

from __future__ import annotations

import asyncio
from typing import Any

DOCUMENTATION = r"""
---
short_description: Receive ONAP VES events and hand on what a closed loop needs
description:
  - A VES 7.2 event listener, C(POST /eventListener/v7), C(POST /eventListener/v7/eventBatch) and C(GET /healthcheck), over HTTPS, with
    C(GET /metrics) for Prometheus.
  - An event is acknowledged only when it is on the disk. What the rulebook had not taken before a crash is delivered again.
  - Events are authenticated, held against the schema of VES 7.2.1, and reduced to typed scalars whose text matches an allow-list before
    anything of them reaches a rulebook.
  - The Python package C(closedloop_loop) does the work and must be installed where ansible-rulebook runs.
options:
  journal:
    description: SQLite file with the events that are not finished. It is created where absent and serves one process at a time.
    type: str
    required: true
  host:
    description: Address or name to listen at. V(::) is every address, IPv4 too.
    type: str
    default: "::"
  port:
    description: TCP port from 0 to 65535. V(0) lets the kernel choose one.
    type: int
    default: 8443
  tls:
    description: Files of the TLS server. Required unless O(insecure=true).
    type: dict
    suboptions:
      certificate:
        description: PEM file with the certificate chain of this listener.
        type: str
        required: true
      key:
        description: PEM file with its private key, not readable by others.
        type: str
        required: true
      client_ca:
        description: PEM file with the authorities of client certificates. A sender with such a certificate needs no password.
        type: str
  credentials:
    description:
      - File with the senders' names and password hashes, one a line, as C(closedloop ves --credential NAME) prints them.
      - Required unless O(tls.client_ca) is given or O(insecure=true).
    type: str
  insecure:
    description: Permit to leave out O(tls), or authentication, or both. For tests on one machine only.
    type: bool
    default: false
  record:
    description: File to which every event is appended as a line of JSON, for C(closedloop replay).
    type: str
  backlog_events:
    description: Events that may wait for the rulebook on the disk, 1 to 100000000. Past that senders get 503.
    type: int
    default: 1000000
  pending_mib:
    description: MiB of events that may wait for the disk, 1 to 4096. Past that senders get 503.
    type: int
    default: 32
  window_mib:
    description: MiB of events kept in memory for the rulebook, 1 to 4096.
    type: int
    default: 16
  remember_events:
    description: How many of the latest events are known again when they are sent a second time, 0 to 10000000.
    type: int
    default: 100000
  policy:
    description:
      - Policy file whose loops decide. The rulebook gets their onsets, as C(event.onset).
      - Without it the rulebook gets every fault, measurement and heartbeat, as C(event.record).
    type: str
  operations:
    description:
      - Operations journal, an SQLite file or a C(postgresql://) URL without password. It is created where absent. Needs O(policy).
      - With it the source decides, by the policy's guards, and the rulebook gets only what is to be carried out now, as C(event.onset) and
        C(event.operation), until M(closedloop.mobility.operation) has begun it.
    type: str
  inventory:
    description: YAML file with the regions and their capacity, read anew for each decision. Needs O(operations).
    type: str
  placement:
    description:
      - Directory with a JSON file for each VF module, as the role P(closedloop.mobility.vf_module#role) writes it. It is read anew for each
        decision. Needs O(inventory).
    type: str
  feedback:
    description:
      - Finish an event only when ansible-rulebook has stored what came of it. It needs a rulebook with persistence.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Loops of a policy decide; the rulebook reacts to their onsets
  closedloop.mobility.ves:
    tls:
      certificate: /etc/closedloop/ves.crt
      key: /etc/closedloop/ves.key
    credentials: /etc/closedloop/ves.credentials
    journal: /var/lib/closedloop/ves.db
    policy: /etc/closedloop/policy.yml

- name: The source decides, and hands on what a playbook is to carry out
  closedloop.mobility.ves:
    tls:
      certificate: /etc/closedloop/ves.crt
      key: /etc/closedloop/ves.key
    credentials: /etc/closedloop/ves.credentials
    journal: /var/lib/closedloop/ves.db
    policy: /etc/closedloop/policy.yml
    operations: /var/lib/closedloop/operations.db
    inventory: /etc/closedloop/inventory.yml
    placement: /run/closedloop/cl/placement

- name: Senders with a certificate of the operator's own authority, every record to the rulebook
  closedloop.mobility.ves:
    port: 9443
    tls:
      certificate: /etc/closedloop/ves.crt
      key: /etc/closedloop/ves.key
      client_ca: /etc/closedloop/senders-ca.crt
    journal: /var/lib/closedloop/ves.db
    record: /var/lib/closedloop/events.jsonl
"""


async def main(queue: asyncio.Queue[dict[str, Any]], args: dict[str, Any]) -> None:
    """Entry point of ansible-rulebook. Arguments are checked before the port is open; an error names the argument and the remedy."""
    try:
        from closedloop_loop.intake import source
    except ImportError as error:
        raise RuntimeError(
            f"closedloop.mobility.ves needs the Python package closedloop_loop ({error}); install it where ansible-rulebook runs"
        ) from error
    arguments = dict(args)
    feedback = arguments.pop("eda_feedback_queue", None)
    await source.run(queue, arguments, feedback)
