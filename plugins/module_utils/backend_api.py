# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Client of HA-B's JSON API: one connection, one JSON request at a time, errors that name what to do."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

API_ARGUMENTS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "ca_file": {"type": "path"},
    "token_file": {"type": "path", "no_log": False},
    "request_timeout_ms": {"type": "int", "default": 5000},
}

MAX_ANSWER_OCTETS = 64 * 1024 * 1024
PAGE_ROWS = 1000
POLL_S = 0.01


class ApiError(MobilityError):
    """HA-B refused. `status` is the HTTP status, `code` HA-B's own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Unreachable(MobilityError):
    """No answer at all: not listening yet, restarting, or cut off."""


class BackendApi:
    """One HA-B. Not for more than one thread."""

    def __init__(self, params: dict[str, Any]) -> None:
        address = urlsplit(params["url"])
        if address.scheme not in ("http", "https") or not address.hostname or address.path.strip("/"):
            raise MobilityError(f"url {params['url']!r} is not the root of an HTTP API; write https://[2001:db8::1]:7311")
        self._url = params["url"].rstrip("/")
        self._encrypted = address.scheme == "https"
        self._host, self._port = address.hostname, address.port or (443 if self._encrypted else 80)
        self._timeout_s = params["request_timeout_ms"] / 1000
        self._ca_file, self._token_file = params.get("ca_file"), params.get("token_file")
        self._headers: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> BackendApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def get(self, path: str, **query: Any) -> Any:
        return self.request("GET", path, query=query)

    def request(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """Answer as Python data, None where it has no body. Raises ApiError where HA-B refuses, Unreachable where nothing answers."""
        target = path + ("?" + "&".join(f"{key}={quote(str(value), safe='')}" for key, value in query.items()) if query else "")
        if not self._headers:  # files are read when they are needed: a dry run may precede them
            self._headers = {"Accept": "application/json", **_authorization(self._token_file)}
        headers, payload = dict(self._headers), None
        if body is not None:
            headers["Content-Type"], payload = "application/json", json.dumps(body).encode()
        try:
            response = self._exchange(method, target, payload, headers)
            text = response.read(MAX_ANSWER_OCTETS + 1)
        except (OSError, http.client.HTTPException) as error:
            self._close()
            reason = str(error) or type(error).__name__
            raise Unreachable(
                f"HA-B at {self._url} does not answer {method} {path}: {reason}; check that it runs and listens there"
            ) from error
        if len(text) > MAX_ANSWER_OCTETS:
            self._close()
            raise MobilityError(f"HA-B at {self._url} answers {method} {path} with more than {MAX_ANSWER_OCTETS} octets; ask for less")
        return self._decoded(method, path, response.status, text)

    def pages(self, path: str, rows: str, **query: Any) -> list[Any]:
        """All rows of a paged collection: the list under `rows`, the next page by the `next` cursor."""
        found: list[Any] = []
        cursor = None
        while True:
            page = self.get(path, limit=PAGE_ROWS, **query, **({"cursor": cursor} if cursor else {}))
            found.extend(page[rows])
            cursor = page.get("next")
            if not cursor:
                return found

    def _exchange(self, method: str, target: str, payload: bytes | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        if self._connection is None:
            if self._encrypted:
                context = _context(self._ca_file)
                self._connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        self._connection.request(method, target, payload, headers)
        return self._connection.getresponse()

    def _decoded(self, method: str, path: str, status: int, text: bytes) -> Any:
        try:
            data = json.loads(text) if text else None
        except ValueError as error:
            raise MobilityError(f"HA-B at {self._url} answers {method} {path} with status {status} and no JSON; check the URL") from error
        if status < 400:
            return data
        problem = data.get("error") if isinstance(data, dict) else None
        problem = problem if isinstance(problem, dict) else {}
        code, field, message = (str(problem.get(key) or "") for key in ("code", "field", "message"))
        detail = ": ".join(part for part in (field, message) if part) or "no reason given"
        raise ApiError(status, code, f"HA-B at {self._url} refuses {method} {path}: {status} {code}: {detail}")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def wait_until(met: Callable[[], tuple[bool, str]], timeout_ms: int, what: str) -> int:
    """Ask until the condition is met and return the milliseconds it took. `met` gives the condition and what there is instead, for the
    error. While HA-B is out of reach it is asked again."""
    started = time.monotonic()
    while True:
        try:
            done, found = met()
        except Unreachable as error:
            done, found = False, str(error)
        elapsed = time.monotonic() - started
        if done:
            return round(elapsed * 1000)
        if elapsed * 1000 > timeout_ms:
            raise MobilityError(f"{what} within {timeout_ms} ms: no; {found}")
        time.sleep(POLL_S)


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise MobilityError(f"ca_file {ca_file}: cannot be read as PEM certificates ({error}); name the authority's file") from error


def _authorization(token_file: str | None) -> dict[str, str]:
    if not token_file:
        return {}
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MobilityError(
            f"token_file {token_file}: cannot be read ({error.__class__.__name__}); name a file with the API token"
        ) from error
    return {"Authorization": f"Bearer {token}"}
