# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""Dataclasses of plain data, and the argument spec that such a dataclass is."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


class WrongDeclaration(Exception):
    """A field that is missing or that nothing is known of."""


@cache
def argument_spec(kind: type) -> dict[str, dict[str, Any]]:
    """Of a record's fields, as Ansible writes it, with the record of each list of records as `record`."""
    hints = get_type_hints(kind)
    return {entry.name: _option(entry, hints[entry.name]) for entry in fields(kind)}


def _option(entry: Field[Any], hint: Any) -> dict[str, Any]:
    parts = [part for part in get_args(hint) if part is not NoneType]
    if NoneType in get_args(hint):
        hint = parts[0]
    option: dict[str, Any] = {"type": (get_origin(hint) or hint).__name__}
    if option["type"] == "list":
        option |= {"elements": "dict", "record": parts[0]} if is_dataclass(parts[0]) else {"elements": parts[0].__name__}
    if entry.default is MISSING and entry.default_factory is MISSING:
        return option | {"required": True}
    default = entry.default if entry.default_factory is MISSING else entry.default_factory()
    return option if default is None else option | {"default": default}


def taken(kind: type[Record], raw: dict[str, Any], where: str, between: str = ".") -> Record:
    """The record of plain data. What is not given, or None, has its default. `where` and `between` are how an error calls its fields.
    Raises WrongDeclaration."""
    known = argument_spec(kind)
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise WrongDeclaration(f"{where}: {unknown[0]} is not a field; there are {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, option in known.items():
        value = raw.get(name)
        if value is None:
            if "required" in option:
                raise WrongDeclaration(f"{where}: {name} is missing")
            continue
        if "record" in option:
            value = [
                taken(option["record"], item, f"{where}{between}{name}[{item.get('name', item.get('network', index))}]")
                for index, item in enumerate(value)
            ]
        values[name] = value
    return kind(**values)
