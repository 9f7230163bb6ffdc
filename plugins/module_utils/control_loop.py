# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a control loop is ready: what the module closedloop.mobility.control_loop_info does."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.closedloop.mobility.plugins.module_utils.backend_api import Unreachable, wait_until
from ansible_collections.closedloop.mobility.plugins.module_utils.backend_resources import still_runs
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "ca_file": {"type": "path", "required": True},
    "runner_socket": {"type": "path"},
    "process_records": {"type": "list", "elements": "path", "default": []},
    "timeout_ms": {"type": "int", "default": 30000},
}
REQUEST_TIMEOUT_S = 2.0
GREETING = b"hello"
"""What the runner says to whoever connects (docs/warm-runner.md)."""


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Wait until source and runner answer. In check mode nothing is waited for: a dry run may precede the loop."""
    address = urlsplit(params["url"])
    if address.scheme != "https" or not address.hostname or address.path.strip("/"):
        raise MobilityError(f"url {params['url']!r} is not the root of a VES listener; write https://[2001:db8::2]:8443")
    if check_mode:
        return Outcome(values={"waited_ms": 0})

    def met() -> tuple[bool, str]:
        try:
            if params["runner_socket"] is not None:
                _greeted(params["runner_socket"])
            return _healthy(address.hostname, address.port or 443, params["ca_file"])
        except (OSError, http.client.HTTPException) as error:
            for record in params["process_records"]:
                still_runs(Path(record))
            raise Unreachable(f"{error or type(error).__name__}; look at the logs of its processes") from error

    return Outcome(values={"waited_ms": wait_until(met, params["timeout_ms"], f"control loop at {params['url']} is ready")})


def _greeted(path: str) -> None:
    """Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(REQUEST_TIMEOUT_S)
        try:
            client.connect(path)
        except OSError as error:
            raise OSError(f"the runner does not answer at {path}: {error.strerror or error}") from error
        if client.recv(64) != GREETING:
            raise OSError(f"the runner at {path} takes no requests")


def _healthy(host: str, port: int, ca_file: str) -> tuple[bool, str]:
    """Raises OSError (ssl.SSLError is one), HTTPException."""
    connection = http.client.HTTPSConnection(host, port, timeout=REQUEST_TIMEOUT_S, context=ssl.create_default_context(cafile=ca_file))
    try:
        connection.request("GET", "/healthcheck")
        status = connection.getresponse().status
    except ConnectionRefusedError as error:
        raise OSError(f"nothing listens at [{host}]:{port}") from error
    finally:
        connection.close()
    return status == 200, f"GET /healthcheck is answered with status {status}"
