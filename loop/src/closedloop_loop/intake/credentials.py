"""Names and password hashes: one `name:scrypt:n:r:p:salt:hash` a line (RFC 7914; salt and hash in hexadecimal)."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from closedloop_loop.files import FileError

N: Final = 2**14
R: Final = 8
P: Final = 1
SALT_OCTETS: Final = 16
HASH_OCTETS: Final = 32
MAX_OCTETS: Final = 1 << 20
MAX_MEMORY: Final = 128 << 20

_LINE = re.compile(r"([^:\x00-\x20\x7f]{1,128}):scrypt:([0-9]{1,7}):([0-9]{1,2}):([0-9]{1,2}):([0-9a-f]{32}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class PasswordHash:
    n: int
    r: int
    p: int
    salt: bytes
    hash: bytes

    def matches(self, password: bytes) -> bool:
        """Takes some 50 ms and 16 MiB; lets other threads run."""
        found = hashlib.scrypt(password, salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=MAX_MEMORY, dklen=HASH_OCTETS)
        return hmac.compare_digest(found, self.hash)


def hash_password(password: bytes) -> PasswordHash:
    salt = secrets.token_bytes(SALT_OCTETS)
    return PasswordHash(N, R, P, salt, hashlib.scrypt(password, salt=salt, n=N, r=R, p=P, maxmem=MAX_MEMORY, dklen=HASH_OCTETS))


def line(name: str, password: bytes) -> str:
    """A line of the file. Raises ValueError when the name cannot be one."""
    made = hash_password(password)
    text = f"{name}:scrypt:{made.n}:{made.r}:{made.p}:{made.salt.hex()}:{made.hash.hex()}"
    if not _LINE.fullmatch(text):
        raise ValueError("a name has 1 to 128 characters, no blank, no colon")
    return text


def load(path: str | Path, field: str = "credentials") -> dict[str, PasswordHash]:
    """Raises FileError when the file is missing, open to others, or a line is not as it must be."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise FileError(path, field, f"cannot be read ({error.strerror}); create it, mode 0600") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(path, field, "is not a regular file; name a file with mode 0600")
        if status.st_mode & 0o027:
            raise FileError(path, field, f"has mode {status.st_mode & 0o777:04o}, others may use it; chmod 0600 it")
        text = file.read(MAX_OCTETS).decode("utf-8", "replace")
    found: dict[str, PasswordHash] = {}
    for number, content in enumerate(text.splitlines(), 1):
        if not content.strip() or content.startswith("#"):
            continue
        match = _LINE.fullmatch(content.strip())
        if match is None or match[1] in found:
            raise FileError(path, f"line {number}", "is not name:scrypt:... or is there twice; write what --credential NAME prints")
        name, n, r, p, salt, digest = match.groups()
        if not (1 < int(n) <= 2**17 and int(n) & (int(n) - 1) == 0 and 1 <= int(r) <= 8 and 1 <= int(p) <= 4):
            raise FileError(path, f"line {number}", "asks for n, r, p beyond 131072, 8, 4; write what --credential NAME prints")
        found[name] = PasswordHash(int(n), int(r), int(p), bytes.fromhex(salt), bytes.fromhex(digest))
    if not found:
        raise FileError(path, field, "names nobody; add a line as --credential NAME prints it")
    return found
