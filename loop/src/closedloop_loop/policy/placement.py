"""The world as a decision needs it: regions from the inventory file, VF modules from the records that the role vf_module writes.

A record is a JSON file below the placement directory, named after its VF module. Files that come and go while they are read are no
trouble; one that is broken is, since a module that is not counted is one that no guard regards.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from closedloop_loop.files import FileError
from closedloop_loop.names import Name, is_name
from closedloop_loop.policy.inventory import Inventory, Module, ModuleState
from closedloop_loop.policy.load import load_inventory

MAX_OCTETS: Final = 65_536
MAX_RECORDS: Final = 100_000
SUFFIX: Final = ".json"
THERE: Final = ("present", "leaving")
"""States of a record whose VF module is there; a record of the others hides the module of that name in the inventory file."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What of a placement record counts here; it has more fields."""

    name: Name
    region: Name
    state: Literal["present", "leaving", "replaced", "removed"]
    replaces: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """The module that it is about to take over from; empty when it has."""
    relieves: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """The module beside which it is about to serve; empty when it does."""
    group: Name | None = None


_decoder: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record, strict=True)


def world(inventory: str | Path | None, placement: str | Path | None) -> Inventory | None:
    """Inventory of now. Modules of the file that no record tells of are taken as they are there. None where neither is given.

    Raises FileError, which names file and field.
    """
    if inventory is None and placement is None:
        return None
    declared = Inventory() if inventory is None else load_inventory(inventory)
    if placement is None:
        return declared
    records = {record.name: record for record in read_records(placement)}
    groups = {module.name: module.group for module in declared.modules}
    modules = [module for module in declared.modules if module.name not in records]
    for record in records.values():
        if record.state in THERE:
            group = record.group or groups.get(record.name, "default")
            modules.append(Module(name=record.name, region=record.region, state=module_state(record, records), group=group))
    return msgspec.structs.replace(declared, modules=modules)


def module_state(record: Record, records: dict[str, Record]) -> ModuleState:
    """Of one that is there."""
    if record.state == "leaving":
        return "draining"
    replaced = records.get(record.replaces)
    return "deploying" if record.relieves or (replaced is not None and replaced.state == "present") else "ready"


def read_records(placement: str | Path) -> list[Record]:
    """By name; none where there is no such directory, as nothing was placed then. Raises FileError."""
    try:
        names = sorted(name for name in os.listdir(placement) if name.endswith(SUFFIX))  # noqa: PTH208 - names are wanted, not paths
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FileError(placement, "(directory)", f"cannot be read ({error.strerror}); give the directory of placement records") from None
    if len(names) > MAX_RECORDS:
        raise FileError(placement, "(directory)", f"has {len(names)} records, more than {MAX_RECORDS}; give the right directory")
    found = (_read(Path(placement), name) for name in names)
    return [record for record in found if record is not None]


def _read(folder: Path, name: str) -> Record | None:
    """None where the file has just gone."""
    path = folder / (name if name.isprintable() else repr(name))
    try:
        file = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(path, "(file)", f"cannot be read ({error.strerror}); see that it is a plain file") from None
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise FileError(path, "(file)", "is no plain file; remove it")
        data = stream.read(MAX_OCTETS + 1)
    if len(data) > MAX_OCTETS:
        raise FileError(path, "(file)", f"is larger than {MAX_OCTETS} octets; remove it")
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(path, "(record)", f"{error}; deploy the VF module again, or remove the file if there is none") from None
    if name != record.name + SUFFIX:
        raise FileError(path, "name", f"is {record.name!r}, which is not the file's; remove the file or correct it")
    for field in ("replaces", "relieves"):
        if (named := getattr(record, field)) and not is_name(named):
            raise FileError(path, field, "is no name; correct it")
    return record
