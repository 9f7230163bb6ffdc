# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""pyroute2, or the error that tells how to get it.

The import takes 0.15 s. It is done when this file is loaded: Ansible loads an action plug-in in its main process, and all the tasks
that it forks then have the library for nothing.
"""

from __future__ import annotations

from types import ModuleType

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

_library: ModuleType | None = None
_problem = ""
try:
    import pyroute2 as _library
except ImportError as _error:
    _problem = str(_error)


def pyroute2() -> ModuleType:
    """The library. Raises MobilityError where it is not installed."""
    if _library is None:
        raise MobilityError(f"the Python package pyroute2 cannot be imported ({_problem}): install it for this task's interpreter")
    return _library
