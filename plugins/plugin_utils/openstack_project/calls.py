# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Modules of openstack.cloud, many at a time.

A task for each of sixty things would be sixty processes one after the other, each of which loads openstacksdk for a second before it asks
the cloud, and then asks it for a token and for its services before anything else. Here a module runs in a fork of a process that has it
all, beside others. What it does is the module's own code, with the arguments that a task would give it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pickle
import selectors
import sys
import time
from dataclasses import dataclass
from typing import Any, BinaryIO
from unittest import mock

from ansible.module_utils.testing import patch_module_args
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project import api_clock
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.own_calls import CALLS
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.steps import Done, Step

MODULES = "ansible_collections.openstack.cloud.plugins.modules."


@dataclass
class _Running:
    step: Step
    process_id: int
    begun: float


class Calls:
    """`start` and `wait` of `steps.carry_out`, with a connection that has a token."""

    def __init__(self, connection: Any) -> None:
        # Two processes must not speak through one socket. The token and what is known of the services stay.
        connection.session.session.close()
        self._connection = connection
        self._selector = selectors.DefaultSelector()

    def start(self, step: Step, arguments: dict[str, Any]) -> None:
        if step.call not in CALLS:
            importlib.import_module(_module(step.call))  # here, so that every fork has it
        reading, writing = os.pipe()
        process_id = os.fork()
        if process_id == 0:
            os.close(reading)
            _child(self._connection, step, arguments, writing)
        os.close(writing)
        running = _Running(step, process_id, time.monotonic())
        self._selector.register(os.fdopen(reading, "rb"), selectors.EVENT_READ, running)

    def wait(self) -> Done:
        key, _events = self._selector.select()[0]
        stream: BinaryIO = key.fileobj  # type: ignore[assignment]
        running: _Running = key.data
        answer = stream.read()
        self._selector.unregister(stream)
        stream.close()
        os.waitpid(running.process_id, 0)
        message, identity, api_s = pickle.loads(answer) if answer else ("its process was killed", None, 0.0)
        return Done(running.step, message, identity, api_s, time.monotonic() - running.begun)


def _module(call: str) -> str:
    return MODULES + call.rpartition(".")[2]


def _child(connection: Any, step: Step, arguments: dict[str, Any], writing: int) -> None:
    """Never returns: this process is a copy of one that has other things to do."""
    message: str | None = "it ended without a word"
    identity, api_s = None, 0.0
    try:
        with api_clock.measured() as clock:
            try:
                result = _own(connection, step.call, arguments) if step.call in CALLS else _result(connection, step.call, arguments)
            finally:
                api_s = clock.seconds
        message = str(result.get("msg")) if result.get("failed") else None
        identity = _identity(result)
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
    finally:
        with os.fdopen(writing, "wb") as stream:
            pickle.dump((message, identity, api_s), stream)
        os._exit(0)


def _own(connection: Any, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
    CALLS[call](connection, **arguments)
    return {}


def _result(connection: Any, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """As a task of the module would end. Its arguments go into no log: what cloud-init is given may be a secret."""
    written = sys.stdout = io.StringIO()
    arguments = {"cloud": connection.config.name, **arguments, "_ansible_no_log": True, "_ansible_check_mode": False}
    # A module takes no connection, it makes one, by this name, with a token of its own.
    with (
        patch_module_args(arguments),
        mock.patch("openstack.connect", return_value=connection),
        contextlib.suppress(SystemExit),
    ):
        importlib.import_module(_module(call)).main()
    result: dict[str, Any] = json.loads(written.getvalue().strip().rpartition("\n")[2])
    return result


def _identity(result: dict[str, Any]) -> str | None:
    """The id of what the module made; each returns it under a name of its own."""
    for value in [result, *result.values()]:
        if isinstance(value, dict) and isinstance(value.get("id"), str):
            return str(value["id"])
    return None
