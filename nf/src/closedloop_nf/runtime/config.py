"""Configuration files: YAML into a msgspec Struct, strictly; every error is one line that names the field and the remedy.

A configuration type is a `msgspec.Struct` with `forbid_unknown_fields=True, kw_only=True, frozen=True`. Rules between fields go into its
`__post_init__` as FieldError. Fields carry `Annotated[..., Meta(description=...)]`, which `schema()` prints.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_origin

import msgspec
import yaml

from closedloop_nf.runtime.addresses import Address, Prefix, from_text
from closedloop_nf.runtime.users import User

T = TypeVar("T")

Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$",
        description="Name of an instance: lower-case letters, digits, '-' and '.', 1 to 63 characters.",
    ),
]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535, description="TCP port.")]
PositiveMs = Annotated[int, msgspec.Meta(ge=1, le=86_400_000, description="Milliseconds, 1 to 86400000.")]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=4_294_967_295, description="Whole seconds, at least 1.")]
LogLevel = Annotated[
    str, msgspec.Meta(pattern="^(debug|info|warning|error)$", description="Least severity logged: debug, info, warning or error.")
]
ProcessUser = Annotated[
    User,
    msgspec.Meta(
        description="User that a process started as root becomes when it has read its configuration and secrets: a name, or a number with"
        " the group of that number. Without it the process stays who it is."
    ),
]

MAX_SECRET_OCTETS = 4096


class ConfigError(Exception):
    """What is wrong in a configuration file, in one line: file, field, what was found, what to do."""

    def __init__(self, path: str | Path, field: str, problem: str) -> None:
        self.path = str(path)
        self.field = field
        self.problem = " ".join(problem.split())
        super().__init__(f"{self.path}: {field}: {self.problem}")


class FieldError(ValueError):
    """A rule between fields is broken, raised in a configuration type's `__post_init__`. fields: as the type names them, `.` between a part
    and its own; problem: what is wrong; the remedy."""

    def __init__(self, fields: Sequence[str], problem: str) -> None:
        self.fields = tuple(fields)
        super().__init__(problem)


class TlsServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of a TLS server."""

    certificate: Annotated[Path, msgspec.Meta(description="PEM certificate chain of this server.")]
    key: Annotated[Path, msgspec.Meta(description="PEM private key; not readable by others.")]
    client_ca: Annotated[
        Path | None, msgspec.Meta(description="PEM authorities of client certificates; when set a client must present one (mTLS).")
    ] = None


class TlsClientConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of a TLS client."""

    ca: Annotated[Path, msgspec.Meta(description="PEM authorities that may sign the server's certificate.")]
    server_name: Annotated[
        str | None, msgspec.Meta(description="Name the server's certificate must carry; without it the address dialled must be in it.")
    ] = None
    certificate: Annotated[Path | None, msgspec.Meta(description="PEM client certificate (mTLS).")] = None
    key: Annotated[Path | None, msgspec.Meta(description="PEM private key of the client certificate.")] = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise FieldError(("certificate", "key"), "certificate and key go together; give both or neither")


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a function answers HTTP and who may ask. /healthz and /readyz are open, all else needs the token where one is set."""

    address: Annotated[Address, msgspec.Meta(description="IPv6 address to listen at; ::1 where none is given.")] = msgspec.field(
        default_factory=lambda: Address(bytes(15) + b"\x01")
    )
    port: Annotated[int, msgspec.Meta(ge=0, le=65535, description="TCP port; 0 lets the kernel choose.")] = 0
    tls: Annotated[TlsServerConfig | None, msgspec.Meta(description="Without it HTTP is in clear text.")] = None
    token_file: Annotated[Path | None, msgspec.Meta(description="File with the bearer token; not readable by others.")] = None


def load(path: str | Path, type_: type[T]) -> T:
    """Read a YAML file into `type_`. Relative paths inside are taken from the file's folder. Raises ConfigError."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, "(file)", f"cannot be read ({_reason(error)}); give an existing UTF-8 YAML file") from None
    return parse(text, type_, file)


def parse(text: str, type_: type[T], file: str | Path = "(text)") -> T:
    """As `load`, from text already read."""
    folder = Path(file).parent.absolute()
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ConfigError(
            file, _yaml_place(error), f"is not YAML ({getattr(error, 'problem', None) or 'syntax'}); correct the line"
        ) from None
    if not isinstance(data, dict):
        raise ConfigError(file, "(file)", f"expected a mapping of fields, got {_kind(data)}; write 'field: value' lines")
    try:
        return msgspec.convert(data, type_, strict=True, dec_hook=lambda kind, value: _convert(kind, value, folder))
    except msgspec.ValidationError as error:
        raise _explain(file, data, error, type_) from None


def read_secret(path: str | Path, field: str) -> bytes:
    """Content of a secret's file without surrounding white space. `field` is the configuration field that names the file.

    Raises ConfigError when it is missing, empty, too long, no regular file, or open to others (mode bits 0o027).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(path, field, f"secret file cannot be read ({_reason(error)}); create it, mode 0600, owned by this user") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(path, field, "secret file is not a regular file; name a file with mode 0600")
        if status.st_mode & 0o027:
            raise ConfigError(path, field, f"secret file has mode {status.st_mode & 0o777:04o}, others may use it; chmod 0600 it")
        secret = os.read(descriptor, MAX_SECRET_OCTETS + 1).strip()
    finally:
        os.close(descriptor)
    if not secret or len(secret) > MAX_SECRET_OCTETS:
        raise ConfigError(path, field, f"secret file holds {len(secret)} octets; it needs 1 to {MAX_SECRET_OCTETS}")
    return secret


def read_key(path: str | Path, field: str) -> bytes:
    """A mobility key (RFC 4285) of at least 16 octets from a secret file in hexadecimal. Raises ConfigError."""
    text = read_secret(path, field)
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise ConfigError(path, field, "key file is not hexadecimal; write two hexadecimal digits per octet") from None
    if len(key) < 16:
        raise ConfigError(path, field, f"key has {len(key)} octets; give at least 16 (32 hexadecimal digits)")
    return key


def schema(type_: type[Any]) -> dict[str, Any]:
    """JSON schema of a configuration type."""
    return msgspec.json.schema(type_, schema_hook=_schema_hook)


# --- conversion ------------------------------------------------------------------------------------------------------


def _convert(kind: type[Any], value: Any, folder: Path) -> Any:
    kind = get_origin(kind) or kind
    if kind not in (Address, Prefix, Path, User):
        raise NotImplementedError(f"configuration type {kind!r}")
    if kind is User:
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise ValueError(f"Expected `str or int`, got `{_kind(value)}`")
        return User.from_value(value)
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{_kind(value)}`")
    if kind is Address:
        return Address(from_text(value))
    if kind is Prefix:
        return Prefix.from_text(value)
    if not value or "\0" in value:
        raise ValueError("an empty path; give the path of a file")
    return folder / value


def _schema_hook(kind: type[Any]) -> dict[str, Any]:
    if kind is Address:
        return {"type": "string", "format": "ipv6"}
    if kind is Prefix:
        return {"type": "string", "pattern": "^[0-9a-fA-F:.]+/[0-9]{1,3}$"}
    if kind is Path:
        return {"type": "string", "minLength": 1}
    if kind is User:
        return {"type": ["string", "integer"]}
    raise NotImplementedError(f"configuration type {kind!r}")


# --- error texts -----------------------------------------------------------------------------------------------------

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>[^`]*)`)?$", re.S)
_UNKNOWN = re.compile(r"contains unknown field `(?P<field>.*)`", re.S)
_MISSING = re.compile(r"missing required field `(?P<field>.*)`", re.S)
_EXPECTED = re.compile(r"^Expected `(?P<want>.*)`, got `(?P<got>.*)`$", re.S)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def _explain(file: str | Path, data: Any, error: msgspec.ValidationError, type_: type[Any]) -> ConfigError:
    match = _AT.match(str(error))
    assert match is not None  # the pattern matches any text
    what, path = match["what"], (match["path"] or "").lstrip(".")
    if isinstance(error.__cause__, FieldError):
        return ConfigError(file, ", ".join(_join(path, field) for field in error.__cause__.fields), what)
    if found := _UNKNOWN.search(what):
        field = _join(path, found["field"])
        return ConfigError(file, _printable(field), "is not a field; remove it or correct its name" + _known(type_, path))
    if found := _MISSING.search(what):
        return ConfigError(file, _printable(_join(path, found["field"])), "is missing; add it")
    got = _kind(_walk(data, path))
    if found := _EXPECTED.match(what):
        return ConfigError(file, path, f"expected {found['want']}, got {got}; give a value of type {found['want']}")
    return ConfigError(file, path, f"got {got}: {what[:1].lower()}{what[1:]}" + ("" if "; " in what else "; correct the value"))


def _known(type_: type[Any], path: str) -> str:
    if path or not hasattr(type_, "__struct_encode_fields__"):
        return ""
    return f" (fields: {', '.join(type_.__struct_encode_fields__)})"


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _printable(text: str) -> str:
    return text if text.isascii() and text.isprintable() else repr(text)


def _walk(data: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        if index == "..." or name == "...":
            return data
        try:
            data = data[int(index)] if index else data[name]
        except (KeyError, IndexError, TypeError):
            return data
    return data


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "not UTF-8"


def _yaml_place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark is not None else "(file)"


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a field written twice: the last would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _value in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"field {key.value!r} is written twice", key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)
