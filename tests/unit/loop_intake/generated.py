"""Strategies of valid VES events, made from the definitions, and of one change to them."""

from __future__ import annotations

import copy
from importlib import resources
from typing import Any

from closedloop_loop.schemas import notation
from hypothesis import strategies as st

STRUCTURES = notation.parse(resources.files("closedloop_loop.schemas").joinpath("ves_7_2_1.fields").read_text(encoding="utf-8"))

TEXT = st.text(max_size=8)
INTEGER = st.integers(-(2**63), 2**63 - 1)
NUMBER = INTEGER | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGER | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=2)
SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "integer": INTEGER,
    "number": NUMBER,
    "map": st.dictionaries(TEXT, TEXT, max_size=2),
    "object": OBJECT,
}


def value(kind: str, level: int) -> st.SearchStrategy[Any]:
    if kind.startswith("["):
        return st.lists(value(kind[1:-1], level), max_size=2)
    if kind in SIMPLE:
        return SIMPLE[kind]
    texts = notation.values(kind)
    return st.sampled_from(texts) if texts is not None else structure(kind, level + 1)


@st.composite
def structure(draw: st.DrawFn, name: str, level: int = 0) -> dict[str, Any]:
    """All required fields, few of the others; below level 4 none of the others, so that it ends."""
    found = STRUCTURES[name]
    required = [field for field in found.fields if field.required]
    optional = [field for field in found.fields if not field.required and field.name not in found.one]
    chosen = draw(st.lists(st.sampled_from(optional), max_size=3, unique=True)) if optional and level < 4 else []
    one = [draw(st.sampled_from([field for field in found.fields if field.name in found.one]))] if found.one else []
    return {field.name: draw(value(field.type, level)) for field in (*required, *chosen, *one)}


events = structure("event").map(lambda event: {"event": event})


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside."""
    inner = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    return [place for key, child in inner for place in ((*path, key), *places(child, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """A valid event with one value taken out, put in, or replaced."""
    document: dict[str, Any] = copy.deepcopy(draw(events))
    *way, last = draw(st.sampled_from([place for place in places(document) if len(place) > 1]))
    parent: Any = document
    for step in way:
        parent = parent[step]
    match draw(st.sampled_from(("remove", "replace", "add"))):
        case "remove":
            del parent[last]
        case "replace":
            parent[last] = draw(JSON | NUMBER)
        case _ if isinstance(parent, dict):
            parent[draw(TEXT)] = draw(JSON)
        case _:
            parent.append(draw(JSON))
    return document
