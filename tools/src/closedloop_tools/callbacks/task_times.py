"""Ansible callback plug-in: when each task of a playbook began, on the clock of the packet streams."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[import-untyped] # Ansible has no type hints

DOCUMENTATION = """
name: task_times
type: aggregate
short_description: writes when each task begins
description:
  - Appends one JSON line per task to the file that the environment variable C(CLOSEDLOOP_TASK_TIMES) names, with the task's name and the
    monotonic clock in nanoseconds; the last line, of the task C(end), is written when the playbook ends.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # as above
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = os.open(os.environ["CLOSEDLOOP_TASK_TIMES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._write(task.name)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write("end")

    def _write(self, name: str) -> None:
        os.write(self._descriptor, json.dumps({"task": name, "mono_ns": time.monotonic_ns()}).encode() + b"\n")
