"""What a decision knows of the world: regions with their capacity, and the VF modules in them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from closedloop_loop.files import FieldError
from closedloop_loop.names import Name

ModuleState = Literal["ready", "deploying", "draining", "failed"]


class Region(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where a VF module can run."""

    name: Name
    capacity: Annotated[int, Meta(ge=0, le=1_000_000, description="Modules that it can hold.")]
    available: bool = True


class Module(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A VF module."""

    name: Name
    region: Name
    state: ModuleState = "ready"
    group: Annotated[Name, Meta(description="Modules of one group do the same work: anti-affinity and instances count among them.")] = (
        "default"
    )


class Inventory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A snapshot of the world."""

    regions: Annotated[list[Region], Meta(max_length=100_000)] = []
    modules: Annotated[list[Module], Meta(max_length=100_000)] = []

    def __post_init__(self) -> None:
        for kind, names in (("regions", [region.name for region in self.regions]), ("modules", [module.name for module in self.modules])):
            if len(set(names)) != len(names):
                raise FieldError([kind], "two have the same name; names are unique")

    def module(self, name: str) -> Module | None:
        """By name."""
        return next((module for module in self.modules if module.name == name), None)

    def group_of(self, name: str) -> str:
        """The group of a module; of one that is not known, the default."""
        module = self.module(name)
        return "default" if module is None else module.group


class Unreadable(msgspec.Struct, frozen=True):
    """The snapshot could not be taken, and why: whoever decides must wait, as without it nothing would be guarded."""

    problem: str
