# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Options of the modules that talk to HA-B."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment closedloop.mobility.backend_api."""

    DOCUMENTATION = r"""
options:
  url:
    description: Root of HA-B's API, such as C(https://[2001:db8::1]:7311).
    type: str
    required: true
  ca_file:
    description: Certificates of the authorities that may sign HA-B's. Without it those of the system count.
    type: path
  token_file:
    description: File with the bearer token of the API.
    type: path
  request_timeout_ms:
    description: Milliseconds that one request may take.
    type: int
    default: 5000
notes:
  - Runs where the API can be reached. In a lab that is the host of HA-B, its namespace.
"""
