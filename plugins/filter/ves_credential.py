# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A line of a VES listener's credentials file."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ves_credential
positional: name, known
short_description: Line of a VES listener's credentials file for a sender
version_added: "0.1.0"
description:
  - Hashes the sender's password with scrypt (RFC 7914), as C(closedloop ves --credential) does.
options:
  _input:
    description: The password.
    type: str
    required: true
  name:
    description: The sender's name.
    type: str
    required: true
  known:
    description: Content of the present credentials file. A line in it that the password fits is returned as it is.
    type: str
    required: true
author:
  - The closedloop.mobility contributors (@closedloop)
"""

EXAMPLES = r"""
- name: The sender is known
  closedloop.mobility.file_set:
    files:
      - path: /etc/closedloop/ves.credentials
        secret: "{{ password | closedloop.mobility.ves_credential('ha-b', '') }}\n"
        mode: "0600"
"""

RETURN = r"""
_value:
  description: The line, without its end.
  type: str
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Any

_COST = {"n": 2**14, "r": 8, "p": 1}
_LINE = re.compile(
    r"^(?P<name>[^:\s]+):scrypt:(?P<n>\d{1,7}):(?P<r>\d{1,2}):(?P<p>\d{1,2}):(?P<salt>[0-9a-f]{32}):(?P<hash>[0-9a-f]{64})$", re.MULTILINE
)


def _hash(password: str, salt: bytes, n: int, r: int, p: int) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=128 << 20, dklen=32).hex()


def ves_credential(password: str, name: str, known: str) -> str:
    """The line in `known` for the name where the password fits it, else a new one."""
    for line in _LINE.finditer(known):
        cost = {key: int(line[key]) for key in _COST}
        if line["name"] == name and hmac.compare_digest(_hash(password, bytes.fromhex(line["salt"]), **cost), line["hash"]):
            return line[0]
    salt = secrets.token_bytes(16)
    return ":".join([name, "scrypt", *map(str, _COST.values()), salt.hex(), _hash(password, salt, **_COST)])


class FilterModule:
    """The filter closedloop.mobility.ves_credential."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ves_credential": ves_credential}
