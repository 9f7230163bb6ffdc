# Copyright: the closedloop.mobility authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""ONAP VES events out of Kafka as an event source."""

from __future__ import annotations

import asyncio
from typing import Any

DOCUMENTATION = r"""
---
short_description: Decide on ONAP VES events that an intake has put into Kafka
description:
  - A loop worker. C(closedloop ves) with C(kafka) in its configuration is the intake - it authenticates and checks events, and answers 202
    when the broker has them. Any number of workers, each in a rulebook of its own, share the partitions of the topic as one consumer group.
  - A worker decides by the policy, and hands on what is to be carried out now, as C(event.onset) and C(event.operation), like
    P(closedloop.mobility.ves#event_source) with O(operations). All events of one source are with the same worker.
  - How far a partition is done is kept in the database of O(operations). When a worker ends, another goes on there; one that was only
    cut off for a while finds its token refused.
  - The Python package C(closedloop_loop) with the extras C(kafka) and C(postgresql) does the work and must be installed where
    ansible-rulebook runs.
options:
  kafka:
    description: The topic into which C(closedloop ves) puts the events.
    type: dict
    required: true
    suboptions:
      servers:
        description: Some brokers of the cluster, each C(host:port).
        type: list
        elements: str
        required: true
      topic:
        description: Topic of the events. It must exist, with C(message.timestamp.type=LogAppendTime).
        type: str
        required: true
      ca:
        description: PEM file with the authority that has signed the brokers' certificates.
        type: str
        required: true
      username:
        description: Name of this client, for SCRAM-SHA-512.
        type: str
        required: true
      password_file:
        description: File whose first line is its password, not readable by others.
        type: str
        required: true
  group:
    description: Consumer group, all workers with the same policy.
    type: str
    default: closedloop
  policy:
    description:
      - Policy file whose loops decide. A condition on all sources together (imbalance, or C(across=all)) needs a topic with one partition.
    type: str
    required: true
  operations:
    description: Operations journal, a C(postgresql://) URL without password, shared by all workers. It keeps their progress too.
    type: str
    required: true
  inventory:
    description: YAML file with the regions and their capacity, read anew for each decision.
    type: str
  placement:
    description:
      - Directory with a JSON file for each VF module, as the role P(closedloop.mobility.vf_module#role) writes it. It is read anew for each
        decision. Needs O(inventory).
    type: str
"""

EXAMPLES = r"""
- name: One of several workers
  closedloop.mobility.ves_kafka:
    kafka:
      servers: ["kafka-1.example.org:9093", "kafka-2.example.org:9093", "kafka-3.example.org:9093"]
      topic: ves
      ca: /etc/closedloop/kafka-ca.pem
      username: loop-worker
      password_file: /etc/closedloop/kafka.password
    policy: /etc/closedloop/policy.yml
    operations: postgresql://closedloop@db.example.org/closedloop?sslmode=verify-full
    inventory: /etc/closedloop/inventory.yml
"""


async def main(queue: asyncio.Queue[dict[str, Any]], args: dict[str, Any]) -> None:
    """Entry point of ansible-rulebook. Arguments are checked before anything is read; an error names the argument and the remedy."""
    try:
        from closedloop_loop.kafka import worker
    except ImportError as error:
        raise RuntimeError(
            f"closedloop.mobility.ves_kafka needs the Python package closedloop_loop[kafka,postgresql] ({error}); install it where"
            " ansible-rulebook runs"
        ) from error
    arguments = {name: value for name, value in args.items() if name != "eda_feedback_queue"}
    await worker.run(queue, arguments)
