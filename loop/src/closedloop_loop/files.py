"""YAML files into msgspec Structs, strictly; every error is one line that names file, field, what was found and the remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from closedloop_loop.errors import CommandError

T = TypeVar("T")

MAX_OCTETS = 4 * 2**20


class FileError(CommandError):
    """What is wrong in a file, in one line: file, field, what was found, what to do."""

    def __init__(self, path: str | Path, field: str, problem: str) -> None:
        self.path, self.field, self.problem = str(path), field, " ".join(problem.split())
        super().__init__(f"{self.path}: {field}: {self.problem}")


class FieldError(ValueError):
    """A rule between fields is broken, raised in a type's `__post_init__`. fields: as the type names them, `.` between a part and its own;
    problem: what is wrong; the remedy."""

    def __init__(self, fields: Sequence[str], problem: str) -> None:
        self.fields = tuple(fields)
        super().__init__(problem)


def load(path: str | Path, type_: type[T]) -> T:
    """Read a YAML file as `type_`. Raises FileError."""
    return parse(read(path), type_, path)


def read(path: str | Path) -> str:
    """The text of a file. Raises FileError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_OCTETS + 1)
        if len(data) > MAX_OCTETS:
            raise FileError(path, "(file)", f"is larger than {MAX_OCTETS} octets; give the right file")
        return data.decode("utf-8")
    except OSError as error:
        raise FileError(path, "(file)", f"cannot be read ({error.strerror}); give an existing YAML file") from None
    except UnicodeDecodeError:
        raise FileError(path, "(file)", "is not UTF-8; save it so") from None


def parse(text: str, type_: type[T], path: str | Path = "(text)") -> T:
    """As `load`, from text already read."""
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that does not exist
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "syntax"
        raise FileError(path, f"line {mark.line + 1}" if mark else "(file)", f"is not YAML ({problem}); correct it") from None
    if not isinstance(data, dict):
        raise FileError(path, "(file)", f"expected a mapping of fields, got {_kind(data)}; write 'field: value' lines")
    try:
        return msgspec.convert(data, type_, strict=True)
    except msgspec.ValidationError as error:
        raise _explain(path, data, error) from None


_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$?(?P<path>[^`]*)`)?$", re.S)
_EXPECTED = re.compile(r"^Expected `(?P<want>[^`]*)`(?:, got `[^`]*`)?$", re.S)
_RANGE = re.compile(r"^Expected `\w+` (?P<rule>[^`].*)$", re.S)
_UNKNOWN = re.compile(r"contains unknown field `(?P<name>.*)`", re.S)
_MISSING = re.compile(r"missing required field `(?P<name>.*)`", re.S)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def _explain(path: str | Path, data: Any, error: msgspec.ValidationError) -> FileError:
    match = _AT.match(str(error))
    assert match is not None  # the pattern matches any text
    what, field = match["what"], (match["path"] or "").lstrip(".")
    if isinstance(error.__cause__, FieldError):
        return FileError(path, ", ".join(_printable(_join(field, name)) for name in error.__cause__.fields), what)
    if found := _UNKNOWN.search(what):
        return FileError(path, _printable(_join(field, found["name"])), "is not a field; remove it or correct its name")
    if found := _MISSING.search(what):
        return FileError(path, _printable(_join(field, found["name"])), "is missing; add it")
    field, got = _printable(field), _kind(_walk(data, field))
    if found := _EXPECTED.match(what):
        return FileError(path, field, f"expected {found['want']}, got {got}; give a value of that type")
    if found := _RANGE.match(what):
        return FileError(path, field, f"expected {got} {found['rule']}; correct the value")
    return FileError(
        path, field, f"{what[:1].lower()}{what[1:]}" + ("" if "; " in what else f" (a {got}); docs/policy.md lists what is allowed")
    )


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _printable(text: str) -> str:
    return text if text.isascii() and text.isprintable() else repr(text)


def _walk(data: Any, field: str) -> Any:
    for name, index in _STEP.findall(field):
        try:
            data = data[int(index)] if index else data[name]
        except (KeyError, IndexError, TypeError, ValueError):
            return data
    return data


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a field written twice, where the last would win in silence, and aliases, which make a small file huge."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias (*name); write the value out", parent.start_mark if parent else None)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a field name that is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"field {key.value!r} is written twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
