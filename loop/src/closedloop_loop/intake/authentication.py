"""Who may send: HTTP basic authentication (RFC 7617), each header verified once and then known by a keyed digest.

A password hash takes tens of milliseconds, which a listener of thousands of events a second cannot spend on each of them; nor may somebody
who guesses make it spend them all. So verdicts, good and bad, are kept, and only a few hashes are computed or waited for at a time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import enum
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Final

from closedloop_loop.intake.credentials import PasswordHash, hash_password

KEPT: Final = 1024
WAITING: Final = 16
MAX_HEADER: Final = 1024


class Access(enum.Enum):
    GRANTED = "granted"
    DENIED = "denied"
    BUSY = "busy"
    """Too many passwords wait for their verification."""


class Authenticator:
    """Used in the event loop's thread; hashes are computed in one of its own."""

    def __init__(self, credentials: Mapping[str, PasswordHash]) -> None:
        self._credentials = credentials
        self._nobody = hash_password(secrets.token_bytes(16))
        self._key = secrets.token_bytes(32)
        # Apart, so that guesses do not push out the verdicts of those who send.
        self._good: set[bytes] = set()
        self._bad: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}
        self._thread = ThreadPoolExecutor(1, "password")
        self.verified = 0
        """Hashes computed."""

    async def check(self, header: str | None) -> Access:
        """header: value of `Authorization`, None where there was none."""
        if header is None or len(header) > MAX_HEADER:
            return Access.DENIED
        digest = blake2b(header.encode("utf-8", "surrogateescape"), key=self._key, digest_size=32).digest()
        if digest in self._good:
            return Access.GRANTED
        if digest in self._bad:
            return Access.DENIED
        given = parse(header)
        if given is None:
            return Access.DENIED
        future = self._waiting.get(digest)
        if future is None:
            if len(self._waiting) >= WAITING:
                return Access.BUSY
            name, password = given
            # An unknown name takes as long as a known one.
            known = self._credentials.get(name, self._nobody)
            future = asyncio.get_running_loop().run_in_executor(self._thread, known.matches, password)
            self._waiting[digest] = future
            future.add_done_callback(lambda done: self._verified(digest, done))
        return Access.GRANTED if await asyncio.shield(future) else Access.DENIED

    def _verified(self, digest: bytes, done: asyncio.Future[bool]) -> None:
        del self._waiting[digest]
        if done.cancelled() or done.exception() is not None:
            return
        self.verified += 1
        if done.result():
            self._good.add(digest)  # not more than there are credentials, times the ways to write one in base64
            return
        self._bad[digest] = None
        if len(self._bad) > KEPT:
            self._bad.popitem(last=False)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def parse(header: str) -> tuple[str, bytes] | None:
    """Name and password of a basic Authorization header, None where it is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
        return (name.decode("utf-8"), password) if colon else None
    except (binascii.Error, ValueError):
        return None
