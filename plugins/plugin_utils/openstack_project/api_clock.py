# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""How long a process waits for the cloud: in requests, and in the pauses between asking whether something is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class ApiClock:
    """Seconds of all threads together."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._inside = threading.local()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        if getattr(self._inside, "depth", 0):  # a redirect is a request within a request
            yield
            return
        self._inside.depth = 1
        begun = time.monotonic()
        try:
            yield
        finally:
            self._inside.depth = 0
            with self._lock:
                self.seconds += time.monotonic() - begun


@contextmanager
def measured() -> Iterator[ApiClock]:
    """The time that is waited in here, by whatever library asks with `requests`."""
    import requests  # brought by openstacksdk: without that the error is to be the one that says so

    clock = ApiClock()
    send, sleep = requests.Session.send, time.sleep

    def timed_send(session: Any, *args: Any, **kwargs: Any) -> Any:
        with clock.waiting():
            return send(session, *args, **kwargs)

    def timed_sleep(seconds: float) -> None:
        with clock.waiting():
            sleep(seconds)

    with mock.patch.object(requests.Session, "send", timed_send), mock.patch.object(time, "sleep", timed_sleep):
        yield clock
