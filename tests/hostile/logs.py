"""What text of an attack looks like where it must not be: in logs, in output, in names of files."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.hostile.payloads import Canaries

FORGED: Final = re.compile(r"forged|PLAY RECAP \*{5}\n|jndi|DROP TABLE|__globals__|subprocess|ansible\.builtin\.pipe")
FORMAT: Final = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}
"""Unicode categories that a terminal or an editor acts upon instead of showing: control, format (bidi), unassigned, separators."""


def hostile_letters(text: str) -> list[str]:
    """Control and format characters other than line breaks and tabs, by their code. What a playbook prints on a terminal ends in CR LF."""
    return [
        f"U+{ord(letter):04X}"
        for letter in set(text.replace("\r\n", "\n"))
        if letter not in "\n\t" and not letter.isprintable() and unicodedata.category(letter) in FORMAT
    ]


def traces(text: str, canaries: Canaries) -> list[str]:
    """What shows that an attack's text got here."""
    marks = [mark for mark in (str(canaries.folder), str(canaries.program), canaries.zone) if mark in text]
    return [*marks, *sorted(set(FORGED.findall(text))), *sorted(set(hostile_letters(text)))]


def files(folders: Iterable[Path]) -> Iterator[Path]:
    """All below, what is no regular file too."""
    for folder in folders:
        for top, directories, names in os.walk(folder):
            yield from (Path(top, name) for name in (*directories, *names))


def hostile_names(folders: Iterable[Path], canaries: Canaries) -> list[str]:
    """Files whose names come from an attack."""
    return [repr(str(path)) for path in files(folders) if traces(path.name, canaries) or not path.name.isascii()]
