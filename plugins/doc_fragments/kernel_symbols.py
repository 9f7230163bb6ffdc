# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The option `symbols`, as of `module_utils/kernel_symbols.py`."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  symbols:
    description:
      - The symbols that a kernel shall have, built in or as a module.
      - A symbol that later releases do without is not asked of them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the symbol, with or without C(CONFIG_).
        type: str
        required: true
      dropped_in:
        description: First release that has what the symbol stands for without the symbol.
        type: str
      because:
        description: Why it has been dropped.
        type: str
"""
