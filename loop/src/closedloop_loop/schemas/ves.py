"""VES 7.2.1 events, validated while they are decoded.

The definitions become msgspec structures, so that one pass in C parses a body and holds it against the schema. Stricter than the
published schema where a collector has to be: `event` (or `eventList`) must be there and be all there is, whole numbers fit 64 bits, every
number is finite, and JSON objects of free form and `jsonObject` nest MAX_DEPTH and MAX_NESTED deep.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Annotated, Any, Final, Literal, Union

import msgspec
from msgspec import UNSET, UnsetType

from closedloop_loop.schemas import notation

MAX_DEPTH: Final = 32
"""Levels of a JSON object of free form (`stndDefinedFields.data`, `objectInstance`, `internalHeaderFields`)."""
MAX_NESTED: Final = 8
"""Levels of a structure inside itself."""
LARGEST_INTEGER: Final = 2**63 - 1

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-LARGEST_INTEGER - 1, le=LARGEST_INTEGER)]
_SIMPLE: Final[dict[str, Any]] = {
    "text": str,
    "integer": _INTEGER,
    "number": Union[_INTEGER, float],  # noqa: UP007 - an Annotated alias and a class do not join by `|` at run time in every Python
    "map": dict[str, str],
    "object": dict[str, Any],
}


class Compiler:
    """From structures of the notation to classes."""

    def __init__(self, structures: dict[str, notation.Structure]) -> None:
        self._structures = structures
        self._made: dict[tuple[str, int], Any] = {}

    def structure(self, name: str, above: tuple[str, ...] = ()) -> Any | None:
        """The class of a structure; None where it would nest too deep. above: the structures it is inside of."""
        nested = above.count(name)
        if nested >= MAX_NESTED:
            return None
        # A structure that may contain itself differs by level; so does whatever stands between two levels.
        level = sum(above.count(each) for each in set(above)) if self._recursive(name) else 0
        if (name, level) not in self._made:
            self._made[name, level] = self._make(self._structures[name], (*above, name), f"{name}_{level}" if level else name)
        return self._made[name, level]

    def _recursive(self, name: str) -> bool:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            for field in self._structures[waiting.pop()].fields:
                inner = field.type.strip("[]")
                if inner == name:
                    return True
                if inner in self._structures and inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)
        return False

    def _make(self, structure: notation.Structure, above: tuple[str, ...], name: str) -> Any:
        required: list[tuple[str, Any]] = []
        optional: list[tuple[str, Any, Any]] = []
        free: list[str] = []
        for field in structure.fields:
            kind = self._type(field.type, above)
            if kind is None:
                continue
            if field.type == "object":
                free.append(field.name)
            if field.required:
                required.append((field.name, kind))
            else:
                optional.append((field.name, Union[kind, UnsetType], UNSET))  # noqa: UP007 - `kind` may be an Annotated alias
        checks = [*([_exactly_one(structure)] if structure.one else []), *([_not_too_deep(free)] if free else [])]
        return msgspec.defstruct(
            name,
            [*required, *optional],
            forbid_unknown_fields=True,
            frozen=True,
            gc=False,
            module=__name__,
            namespace={"__post_init__": _all(checks)} if checks else None,
        )

    def _type(self, kind: str, above: tuple[str, ...]) -> Any | None:
        if kind.startswith("["):
            inner = self._type(kind[1:-1], above)
            return None if inner is None else list.__class_getitem__(inner)
        if kind in _SIMPLE:
            return _SIMPLE[kind]
        texts = notation.values(kind)
        return Literal[texts] if texts is not None else self.structure(kind, above)


Check = Callable[[Any], None]


def _all(checks: list[Check]) -> Check:
    def post_init(self: Any) -> None:
        for check in checks:
            check(self)

    return post_init


def _exactly_one(structure: notation.Structure) -> Check:
    names = tuple(structure.one)

    def check(self: Any) -> None:
        if sum(getattr(self, name) is not UNSET for name in names) != 1:
            raise ValueError(f"{structure.name} needs exactly one of {', '.join(names)}")

    return check


def _not_too_deep(names: list[str]) -> Check:
    def check(self: Any) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not UNSET and depth(value, MAX_DEPTH) > MAX_DEPTH:
                raise ValueError(f"{name} nests more than {MAX_DEPTH} deep")

    return check


def depth(value: Any, limit: int) -> int:
    """Levels of objects and lists in `value`; counting ends at limit + 1. No recursion."""
    level = 0
    row = [value]
    while level <= limit and (row := [each for each in row if isinstance(each, (dict, list))]):
        level += 1
        row = [child for each in row for child in (each.values() if isinstance(each, dict) else each)]
    return level


def _load() -> dict[str, notation.Structure]:
    return notation.parse(resources.files(__package__).joinpath("ves_7_2_1.fields").read_text(encoding="utf-8"))


Event: Final[Any] = Compiler(_load()).structure("event")
"""Class of what stands in `{"event": ...}`; its attributes are the fields' names, UNSET where a field is not there."""
Single: Final[Any] = msgspec.defstruct("Single", [("event", Event)], forbid_unknown_fields=True, frozen=True, gc=False)
Batch: Final[Any] = msgspec.defstruct("Batch", [("eventList", list[Event])], forbid_unknown_fields=True, frozen=True, gc=False)

single = msgspec.json.Decoder(Single)
batch = msgspec.json.Decoder(Batch)


def json_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the body of a single event."""
    return msgspec.json.schema(Single)
