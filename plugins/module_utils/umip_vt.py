# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""UMIP's virtual terminal: a line based service of mip6d, on port 7777 of its host, that one client at a time may use.

What `bc` answers for each entry of the binding cache, with `-` for a letter of the flags that is not set and a negative time for one that
is over:

    hoa 2001:db8:100:0:0:0:0:1001 status registered
     coa 2001:db8:1:0:0:0:0:9 flags AH--
     local 2001:db8:100:0:0:0:0:1
     lifetime 52 / 60 seq 7 unreach 0 mpa 41 / 60 retry 0
     MNP: 2001:db8:200:0:0:0:0:0/64
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError, Outcome

ARGUMENT_SPEC: dict[str, Any] = {
    "host": {"type": "str", "default": "::1"},
    "port": {"type": "int", "default": 7777},
    "timeout_ms": {"type": "int", "default": 5000},
}

MAX_OCTETS = 4 << 20
_PROMPT = "mip6d> "
_DECORATION = re.compile(r"\x1b\[[0-9;]*m")
_HOME = re.compile(r"hoa (?P<home>[0-9a-f:]+)(?: nonce \d+)? status (?P<status>\(?[a-z-]+\)?)")
_CARE_OF = re.compile(r" coa (?P<care_of>[0-9a-f:]+)(?: nonce \d+)? flags (?P<flags>[AHLK-]{4})")
_LOCAL = re.compile(r" local (?P<local>[0-9a-f:]+)(?: tunnel \S+)?(?: link \S+)?")
_LIFETIME = re.compile(r" lifetime (?P<remaining>-?\d+|-|\([a-z]+\)) / (?P<granted>\d+) seq (?P<sequence>\d+) unreach \d+.*")
_PREFIX = re.compile(r" MNP: (?P<prefix>[0-9a-f:]+/\d{1,3})")


def run(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Read the binding cache. Raises MobilityError."""
    text = ask(params["host"], params["port"], "bc", params["timeout_ms"] / 1000)
    return Outcome(values={"bindings": bindings(text)})


def ask(host: str, port: int, command: str, timeout_s: float) -> str:
    """What mip6d answers to one command. Raises MobilityError."""
    where = f"mip6d at [{host}]:{port}"
    deadline = time.monotonic() + timeout_s
    received = bytearray()
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.sendall(f"{command}\nquit\n".encode("ascii"))
            while True:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                piece = connection.recv(65536)
                if not piece:
                    return received.decode("ascii", "replace")
                received += piece
                if len(received) > MAX_OCTETS:
                    raise MobilityError(f"{where}: answers more than {MAX_OCTETS} octets; this is no virtual terminal of UMIP")
    except TimeoutError:
        raise MobilityError(
            f"{where}: no whole answer within {timeout_s:g} s; it serves one client at a time, see whether another one is connected"
        ) from None
    except OSError as error:
        raise MobilityError(
            f"{where}: {error.strerror or type(error).__name__}; see whether it runs and was configured with --enable-vt"
        ) from error


def bindings(text: str) -> list[dict[str, Any]]:
    """The binding cache that an answer to `bc` tells. Raises MobilityError where a line is none that UMIP writes.

    Addresses are in the short form; a time that UMIP does not tell is None."""
    found: list[dict[str, Any]] = []
    for line in _lines(text):
        if match := _HOME.fullmatch(line):
            found.append(
                {"home_address": _address(match["home"], line), "status": match["status"].strip("()"), "mobile_network_prefixes": []}
            )
            continue
        if not found:
            raise _unknown(line)
        entry = found[-1]
        if match := _CARE_OF.fullmatch(line):
            entry["care_of_address"] = _address(match["care_of"], line)
            entry["flags"] = match["flags"].replace("-", "")
        elif match := _LOCAL.fullmatch(line):
            entry["home_agent_address"] = _address(match["local"], line)
        elif match := _LIFETIME.fullmatch(line):
            remaining = match["remaining"]
            entry["lifetime_s"] = int(match["granted"])
            entry["remaining_s"] = int(remaining) if remaining.lstrip("-").isdigit() else None
            entry["sequence"] = int(match["sequence"])
        elif match := _PREFIX.fullmatch(line):
            entry["mobile_network_prefixes"].append(str(ipaddress.IPv6Network(match["prefix"], strict=False)))
        else:
            raise _unknown(line)
    for entry in found:
        if not entry.keys() >= {"care_of_address", "home_agent_address", "lifetime_s"}:
            raise MobilityError(f"binding of {entry['home_address']}: the answer of mip6d ends within it; ask again")
    return found


def _lines(text: str) -> list[str]:
    plain = _DECORATION.sub("", text).replace("\r", "").replace("\0", "").replace(_PROMPT, "")
    return [line.rstrip() for line in plain.split("\n") if line.strip()]


def _address(text: str, line: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise _unknown(line) from None


def _unknown(line: str) -> MobilityError:
    return MobilityError(
        f"mip6d answers {line[:120]!r}, which is no line of its binding cache; see whether this is UMIP's virtual terminal"
    )
