"""Where the topic is, and who asks: part of the configuration of the intake and of the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from closedloop_loop.files import FileError

FilePath = Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[^\x00]+$")]
Server = Annotated[str, msgspec.Meta(min_length=3, max_length=300, pattern=r"^[A-Za-z0-9._:\[\]-]+:[0-9]{1,5}$")]
KafkaName = Annotated[str, msgspec.Meta(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

MAX_PASSWORD: Final = 4096


class Kafka(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A topic of a Kafka cluster, over TLS, with SASL SCRAM-SHA-512."""

    servers: Annotated[
        list[Server], msgspec.Meta(min_length=1, max_length=64, description="Some brokers of the cluster, each `host:port`.")
    ]
    topic: Annotated[
        KafkaName,
        msgspec.Meta(description="Topic of the events. It must exist, with `message.timestamp.type=LogAppendTime`."),
    ]
    ca: Annotated[FilePath, msgspec.Meta(description="PEM file with the authority that has signed the brokers' certificates.")]
    username: Annotated[str, msgspec.Meta(min_length=1, max_length=256, description="Name of this client, for SCRAM-SHA-512.")]
    password_file: Annotated[FilePath, msgspec.Meta(description="File whose first line is its password, not readable by others.")]


def read_password(settings: Kafka) -> str:
    """Raises FileError."""
    file = Path(settings.password_file)
    try:
        mode = file.stat().st_mode
        with file.open("rb") as stream:
            password = stream.readline(MAX_PASSWORD).rstrip(b"\r\n").decode("utf-8")
    except OSError as error:
        raise FileError(file, "kafka.password_file", f"cannot be read ({error.strerror}); give a file with the password") from None
    except UnicodeDecodeError:
        raise FileError(file, "kafka.password_file", "is not UTF-8; save it so") from None
    if mode & 0o027:
        raise FileError(file, "kafka.password_file", f"has mode {mode & 0o777:04o}, others may use it; chmod 0600 it")
    if not password:
        raise FileError(file, "kafka.password_file", "has an empty first line; write the password there")
    return password


def check(settings: Kafka) -> None:
    """Read the files that it names. Raises FileError."""
    read_password(settings)
    try:
        text = Path(settings.ca).read_bytes()
    except OSError as error:
        raise FileError(settings.ca, "kafka.ca", f"cannot be read ({error.strerror}); give the file of the authority") from None
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise FileError(settings.ca, "kafka.ca", "holds no PEM certificate; give the file of the authority")


def resolve(settings: Kafka, folder: Path) -> Kafka:
    """The same with absolute paths."""
    return msgspec.structs.replace(settings, ca=str(folder / settings.ca), password_file=str(folder / settings.password_file))
