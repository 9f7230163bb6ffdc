# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Attributes shared by the modules that an action plug-in can run in the controller's process."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment closedloop.mobility.in_process."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Predicts the change without making it.
    support: full
  diff_mode:
    description: Shows the managed state before and after.
    support: full
  action:
    description: Runs in the controller's process where the host is the controller's machine, which saves the start of a module process.
    support: full
options: {}
"""
