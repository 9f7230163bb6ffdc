"""Arguments of the event source `closedloop.mobility.ves_kafka`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from closedloop_loop import files
from closedloop_loop.files import FieldError, FileError
from closedloop_loop.kafka import settings
from closedloop_loop.kafka.settings import FilePath, Kafka, KafkaName
from closedloop_loop.operations.store.open import URLS

NOT_A_FILE: Final = "closedloop.mobility.ves_kafka"


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of the event source `closedloop.mobility.ves_kafka`."""

    kafka: Annotated[Kafka, msgspec.Meta(description="The topic into which `closedloop ves` puts the events.")]
    group: Annotated[KafkaName, msgspec.Meta(description="Consumer group: all workers with the same policy.")] = "closedloop"
    policy: Annotated[FilePath, msgspec.Meta(description="Policy file whose loops decide.")]
    operations: Annotated[
        str,
        msgspec.Meta(
            max_length=4096,
            description="Operations journal, a postgresql:// URL without password, shared by all workers. It keeps their progress too.",
        ),
    ]
    inventory: Annotated[
        FilePath | None, msgspec.Meta(description="YAML file with the regions and their capacity, read anew for each decision.")
    ] = None
    placement: Annotated[
        FilePath | None,
        msgspec.Meta(
            description="Directory with a JSON file for each VF module, as the role vf_module writes it, read anew for each decision."
            " Needs inventory."
        ),
    ] = None

    def __post_init__(self) -> None:
        if not self.operations.startswith(URLS):
            raise FieldError(("operations",), "workers share their journal; give a postgresql:// URL")
        if self.placement is not None and self.inventory is None:
            raise FieldError(("placement", "inventory"), "placement needs inventory; give inventory too, or leave placement out")


def from_arguments(arguments: Mapping[str, Any]) -> WorkerConfig:
    """Raises FileError."""
    for name, value in arguments.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise FileError(NOT_A_FILE, name, "is no text, number, truth value, list or mapping; leave it out") from None
    found = files.parse(json.dumps(dict(arguments)), WorkerConfig, NOT_A_FILE)
    folder = Path.cwd()
    return msgspec.structs.replace(
        found,
        kafka=settings.resolve(found.kafka, folder),
        policy=str(folder / found.policy),
        inventory=None if found.inventory is None else str(folder / found.inventory),
        placement=None if found.placement is None else str(folder / found.placement),
    )


def schema() -> dict[str, Any]:
    """JSON schema of the arguments."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(WorkerConfig)}
