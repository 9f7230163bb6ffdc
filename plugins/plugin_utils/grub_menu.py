# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernels in a menu that update-grub has written."""

from __future__ import annotations

import re

_LINE = re.compile(r"^(\s*)(menuentry|submenu) .*\$menuentry_id_option '([^']+)' \{$")
_KERNEL = re.compile(r"gnulinux-(.+)-advanced-.+")


def grub_entries(text: str) -> dict[str, str]:
    """From the release of each kernel to its entry, as grub-reboot and grub-set-default take it: `submenu>entry`, or `entry`."""
    entries: dict[str, str] = {}
    submenu = ""
    for line in text.splitlines():
        if line == "}":
            submenu = ""
        found = _LINE.match(line)
        if found is None:
            continue
        indent, kind, name = found.groups()
        if kind == "submenu":
            submenu = f"{name}>"
        elif kernel := _KERNEL.fullmatch(name):
            entries[kernel[1]] = (submenu if indent else "") + name
    return entries
