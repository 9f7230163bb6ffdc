# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""What was placed so far."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vf_module_placement
short_description: Which VF modules were placed where so far
version_added: "0.1.0"
description:
  - Reads what the role P(closedloop.mobility.vf_module#role) wrote on this machine for each VF module while the lab ran.
options:
  _terms:
    description: Directory of the records, one JSON file for each VF module. Without it nothing was placed.
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: What was placed so far is known
  ansible.builtin.set_fact:
    vf_module_placement: "{{ lookup('closedloop.mobility.vf_module_placement', vf_module_state_directory ~ '/placement') }}"
"""

RETURN = r"""
_raw:
  description: For each directory a mapping of names to records with name, region, role, address and state.
  type: list
  elements: dict
"""

import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """The lookup closedloop.mobility.vf_module_placement."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, dict[str, Any]]]:
        return [{file.stem: _record(file) for file in sorted(Path(term).glob("*.json"))} for term in terms]


def _record(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise AnsibleLookupError(f"{file}: the record of a VF module cannot be read ({error}); restore the file, or remove it") from error
    if not isinstance(record, dict):
        raise AnsibleLookupError(f"{file}: the record of a VF module is no mapping; restore the file, or remove it")
    return record
