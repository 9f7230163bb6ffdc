# Copyright: the closedloop.mobility authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""No text of an event is a template in the playbooks that a rulebook runs."""

from __future__ import annotations

from typing import Any

import yaml

DOCUMENTATION = r"""
---
short_description: Text of events is never a template
description:
  - Ansible takes extra variables for templates, and ansible-rulebook hands the text of events to playbooks as extra variables. A sender
    that gets an expression into an event would have it evaluated by the control node.
  - With this filter in a rulebook, all extra variables of its actions C(run_playbook) are tagged C(!unsafe), those that ansible-rulebook
    adds by itself (C(ansible_eda)) too. It counts for the whole process of ansible-rulebook. Events pass as they are.
  - Expressions in a rulebook are evaluated by ansible-rulebook before, and work as they always do.
options: {}
"""

EXAMPLES = r"""
- closedloop.mobility.ves:
    journal: /var/lib/closedloop/ves.db
    insecure: true
  filters:
    - closedloop.mobility.untrusted:
"""

ADDED_TO_ALL = "ansible_eda"
"""The variable that ansible-rulebook adds to the extra variables of every playbook; it writes them by yaml.dump."""


def main(event: dict[str, Any]) -> dict[str, Any]:
    """Entry point of ansible-rulebook, once for each event."""
    return event


def represent(dumper: yaml.Dumper, data: dict[Any, Any]) -> yaml.MappingNode:
    """Extra variables under Ansible's tag, which covers all below; any other mapping as it is."""
    if ADDED_TO_ALL in data:
        return dumper.represent_mapping("!unsafe", data)
    return dumper.represent_dict(data)


yaml.add_representer(dict, represent)
