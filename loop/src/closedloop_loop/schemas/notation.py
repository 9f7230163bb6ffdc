"""Reading the notation of `*.fields`; the head of `ves_7_2_1.fields` describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

BLANK: Final = "_"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure. type: as written, names of enumerations resolved to `a|b|c`."""

    name: str
    type: str
    required: bool = False


@dataclass(slots=True)
class Structure:
    """fields: in the order written; one: names of which exactly one must be there."""

    name: str
    fields: list[Field] = field(default_factory=list)
    one: list[str] = field(default_factory=list)


def parse(text: str) -> dict[str, Structure]:
    """All structures by name. Raises ValueError with the line's number."""
    enumerations: dict[str, str] = {}
    structures: dict[str, Structure] = {}
    current: Structure | None = None
    open_type: tuple[str, bool] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("$"):
            name, equals, values = words[0], words[1:2], words[2:]
            if equals != ["="] or len(values) != 1:
                raise ValueError(f"line {number}: write '$name = a|b|c'")
            enumerations[name] = values[0]
        elif not line.startswith(" "):
            current, open_type = structures.setdefault(words[0], Structure(words[0])), None
        elif current is None:
            raise ValueError(f"line {number}: a field before the first structure")
        elif words[0] == "one:":
            for name, _, kind in (word.partition("=") for word in words[1:]):
                current.fields.append(Field(name, _resolve(kind, enumerations)))
                current.one.append(name)
        else:
            if words[0].endswith(":"):
                kind = words.pop(0)[:-1]
                open_type = (_resolve(kind.removesuffix("!"), enumerations), kind.endswith("!"))
            if open_type is None:
                raise ValueError(f"line {number}: a field without a type")
            current.fields.extend(Field(word, *open_type) for word in words)
    return structures


def values(kind: str) -> tuple[str, ...] | None:
    """The texts of an enumeration, None for any other type."""
    return tuple(value.replace(BLANK, " ") for value in kind.split("|")) if "|" in kind or kind[:1].isdigit() else None


def _resolve(kind: str, enumerations: dict[str, str]) -> str:
    if not kind.startswith("$"):
        return kind
    try:
        return enumerations[kind]
    except KeyError:
        raise ValueError(f"{kind} is no enumeration; define it at the top") from None
