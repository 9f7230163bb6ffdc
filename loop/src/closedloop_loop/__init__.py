"""The control loop without Ansible: intake, journal, analytics, policy, operations. docs/policy.md is its guide."""

from __future__ import annotations

__version__ = "0.1.0"
