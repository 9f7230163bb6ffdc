"""Configuration of a VES listener: one type for `closedloop ves` and for the event source's arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from closedloop_loop import files
from closedloop_loop.files import FieldError, FileError
from closedloop_loop.kafka import settings as kafka_settings
from closedloop_loop.kafka.settings import Kafka
from closedloop_loop.operations.store.open import URLS

NOT_A_FILE: Final = "closedloop.mobility.ves"

FilePath = Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[^\x00]+$")]


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of the TLS server."""

    certificate: Annotated[FilePath, msgspec.Meta(description="PEM file with the certificate chain of this listener.")]
    key: Annotated[FilePath, msgspec.Meta(description="PEM file with its private key, not readable by others.")]
    client_ca: Annotated[
        FilePath | None,
        msgspec.Meta(
            description="PEM file with the authorities of client certificates. A sender with such a certificate needs no password."
        ),
    ] = None


JournalFile = Annotated[
    FilePath,
    msgspec.Meta(description="SQLite file with the events that are not finished; created where absent, for one process at a time."),
]


class VesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A VES listener. Paths are relative to the configuration file, or to the working directory where there is none."""

    host: Annotated[
        str, msgspec.Meta(min_length=1, max_length=253, description="Address or name to listen at; `::` is every address, IPv4 too.")
    ] = "::"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535, description="TCP port; 0 lets the kernel choose one.")] = 8443
    tls: Annotated[Tls | None, msgspec.Meta(description="Files of the TLS server. Required unless insecure is true.")] = None
    credentials: Annotated[
        FilePath | None,
        msgspec.Meta(
            description="File with the senders' names and password hashes, one a line, as `closedloop ves --credential NAME` prints them."
            " Required unless tls.client_ca is given or insecure is true."
        ),
    ] = None
    insecure: Annotated[
        bool, msgspec.Meta(description="Permit to leave out tls, or authentication, or both. For tests on one machine only.")
    ] = False
    record: Annotated[
        FilePath | None, msgspec.Meta(description="File to which every event is appended as a line of JSON, for `closedloop replay`.")
    ] = None
    backlog_events: Annotated[
        int,
        msgspec.Meta(ge=1, le=100_000_000, description="Events that may wait for the consumer on the disk; past that the answer is 503."),
    ] = 1_000_000
    pending_mib: Annotated[
        int, msgspec.Meta(ge=1, le=4096, description="MiB of events that may wait for the disk; past that the answer is 503.")
    ] = 32
    window_mib: Annotated[int, msgspec.Meta(ge=1, le=4096, description="MiB of events kept in memory for the consumer.")] = 16
    remember_events: Annotated[
        int,
        msgspec.Meta(ge=0, le=10_000_000, description="How many of the latest events are known again when they are sent a second time."),
    ] = 100_000

    def __post_init__(self) -> None:
        if self.insecure:
            return
        if self.tls is None:
            raise FieldError(
                ("tls", "insecure"), "tls is missing; give a certificate and a key, or say `insecure: true` to receive events in clear text"
            )
        if self.credentials is None and self.tls.client_ca is None:
            raise FieldError(
                ("credentials", "tls.client_ca", "insecure"),
                "nobody is authenticated; give credentials or tls.client_ca, or say `insecure: true` to let everybody send",
            )


class CommandConfig(VesConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Configuration file of `closedloop ves`. One of journal and kafka says where events become durable."""

    journal: JournalFile | None = None
    kafka: Annotated[
        Kafka | None,
        msgspec.Meta(description="Events go into this topic, for the workers `closedloop.mobility.ves_kafka`, and to nobody else."),
    ] = None
    log_level: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$", description="Least severity logged.")] = "info"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.journal is None) == (self.kafka is None):
            raise FieldError(("journal", "kafka"), "exactly one of the two says where events become durable; give one")
        if self.kafka is not None and self.record is not None:
            raise FieldError(("record", "kafka"), "what is in the topic is there for whoever records; leave record out")


class SourceConfig(VesConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of the event source `closedloop.mobility.ves`."""

    journal: JournalFile
    policy: Annotated[
        FilePath | None,
        msgspec.Meta(
            description="Policy file whose loops decide: the rulebook gets their onsets, as `event.onset`. Without it the rulebook gets"
            " every fault, measurement and heartbeat, as `event.record`."
        ),
    ] = None
    operations: Annotated[
        FilePath | None,
        msgspec.Meta(
            description="Operations journal, an SQLite file or a postgresql:// URL without password, created where absent. With it the"
            " source decides, and the rulebook gets only what is to be carried out now, as `event.onset` and `event.operation`."
            " Needs policy."
        ),
    ] = None
    inventory: Annotated[
        FilePath | None,
        msgspec.Meta(description="YAML file with the regions and their capacity, read anew for each decision. Needs operations."),
    ] = None
    placement: Annotated[
        FilePath | None,
        msgspec.Meta(
            description="Directory with a JSON file for each VF module, as the role vf_module writes it, read anew for each decision."
            " Needs inventory."
        ),
    ] = None
    feedback: Annotated[
        bool,
        msgspec.Meta(
            description="Finish an event only when ansible-rulebook has stored what came of it; it needs a rulebook with persistence."
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, needed in (("operations", "policy"), ("inventory", "operations"), ("placement", "inventory")):
            if getattr(self, name) is not None and getattr(self, needed) is None:
                raise FieldError((name, needed), f"{name} needs {needed}; give {needed} too, or leave {name} out")


C = TypeVar("C", bound=VesConfig)


def load(path: str | Path) -> CommandConfig:
    """From a YAML file. Raises FileError."""
    return resolve(files.load(path, CommandConfig), Path(path).absolute().parent)


def from_arguments(arguments: Mapping[str, Any]) -> SourceConfig:
    """From the arguments of the event source. Raises FileError."""
    for name, value in arguments.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise FileError(NOT_A_FILE, name, "is no text, number, truth value, list or mapping; leave it out") from None
    text = json.dumps(dict(arguments))
    return resolve(files.parse(text, SourceConfig, NOT_A_FILE), Path.cwd())


def resolve(config: C, folder: Path) -> C:
    """The same with absolute paths."""

    def absolute(name: str | None) -> str | None:
        return name if name is None or name.startswith(URLS) else str(folder / name)

    tls = config.tls
    if tls is not None:
        tls = msgspec.structs.replace(tls, certificate=absolute(tls.certificate), key=absolute(tls.key), client_ca=absolute(tls.client_ca))
    kafka = getattr(config, "kafka", None)
    more = {} if kafka is None else {"kafka": kafka_settings.resolve(kafka, folder)}
    names = ("journal", "credentials", "record", "policy", "operations", "inventory", "placement")
    paths = {name: absolute(getattr(config, name)) for name in names if hasattr(config, name)}
    return msgspec.structs.replace(config, tls=tls, **paths, **more)


def schema(type_: type[VesConfig]) -> dict[str, Any]:
    """JSON schema of a configuration."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(type_)}
