"""The allow-list for text: what a string from outside must look like to get into a record, an onset or the journal.

Text that matches holds no quote, brace, backslash, slash, white space, control character or anything beyond ASCII, so it means nothing to a
template engine, a shell, YAML, a path or a terminal. The patterns are written for Python's `re` and for ECMA-262 (JSON schema) alike; in
Python `$` also matches before a final newline, so the end is written `(?![\\s\\S])`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeGuard

import msgspec

END: Final = r"(?![\s\S])"
NAME_PATTERN: Final = r"^[A-Za-z0-9](?:(?:[A-Za-z0-9_:-]|\.(?!\.)){0,126}[A-Za-z0-9])?" + END
FIGURE_PATTERN: Final = (
    r"^[a-z][a-z0-9]{0,31}(?:_[a-z0-9]{1,31}){0,7}(?:\.[A-Za-z0-9](?:(?:[A-Za-z0-9_:-]|\.(?!\.)){0,126}[A-Za-z0-9])?)?" + END
)
REQUEST_ID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}" + END

MAX_COUNT: Final = 2**53
"""Largest whole number that every JSON implementation keeps."""

Name = Annotated[
    str,
    msgspec.Meta(pattern=NAME_PATTERN, max_length=128, description="Letters, digits and inner '.', '_', ':', '-'; 1 to 128 characters."),
]
Figure = Annotated[
    str,
    msgspec.Meta(pattern=FIGURE_PATTERN, max_length=256, description="Name of a figure, for example cpu_percent or received_mbps.eth0."),
]
RequestId = Annotated[str, msgspec.Meta(pattern=REQUEST_ID_PATTERN, description="A UUID in lower case.")]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Microseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT, description="UNIX time in microseconds.")]

_NAME = re.compile(NAME_PATTERN)
_FIGURE = re.compile(FIGURE_PATTERN)
_REQUEST_ID = re.compile(REQUEST_ID_PATTERN)


def is_name(value: Any) -> TypeGuard[str]:
    """Whether it is a string that `Name` allows."""
    return type(value) is str and len(value) <= 128 and _NAME.match(value) is not None


def is_figure(value: Any) -> TypeGuard[str]:
    """Whether it is a string that `Figure` allows."""
    return type(value) is str and len(value) <= 256 and _FIGURE.match(value) is not None


def is_request_id(value: Any) -> TypeGuard[str]:
    """Whether it is a string that `RequestId` allows."""
    return type(value) is str and len(value) == 36 and _REQUEST_ID.match(value) is not None
