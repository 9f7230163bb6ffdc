"""Configuration file of `ha-b`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from closedloop_nf.ha_b.settings import Settings
from closedloop_nf.runtime.addresses import UNSPECIFIED, Address, Prefix
from closedloop_nf.runtime.config import (
    ConfigError,
    FieldError,
    HttpConfig,
    LogLevel,
    Name,
    PositiveMs,
    ProcessUser,
    TlsServerConfig,
    read_secret,
)
from closedloop_nf.runtime.tls import server_context
from closedloop_nf.ves import config as ves
from closedloop_nf.ves.config import VesConfig


class LinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where HA-PPs connect."""

    tls: Annotated[TlsServerConfig, Meta(description="The link is always TLS 1.3. With client_ca an HA-PP's common name must be its name.")]
    address: Annotated[Address, Meta(description="IPv6 address to listen at; :: for all.")] = msgspec.field(
        default_factory=lambda: Address(UNSPECIFIED)
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 lets the kernel choose.")] = 7626
    token_file: Annotated[
        Path | None, Meta(description="File with the secret of HA-PPs without certificate; required where tls.client_ca is not set.")
    ] = None

    def __post_init__(self) -> None:
        if self.token_file is None and self.tls.client_ca is None:
            raise FieldError(("token_file", "tls.client_ca"), "HA-PPs could not prove who they are; set token_file, or client_ca in tls")


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the binding cache is durable: `path` or `url`."""

    path: Annotated[Path | None, Meta(description="SQLite file; made with mode 0600, as it holds keys.")] = None
    url: Annotated[str | None, Meta(description="PostgreSQL URL (postgresql://user@host/database), without a password.")] = None
    password_file: Annotated[Path | None, Meta(description="File with the password of the PostgreSQL user.")] = None
    synchronous: Annotated[
        Literal["full", "normal"],
        Meta(description="SQLite: flush every commit (full), or only checkpoints (normal: a power cut loses the last registrations)."),
    ] = "full"

    def __post_init__(self) -> None:
        if (self.path is None) == (self.url is None):
            raise FieldError(("path", "url"), "give either path (SQLite) or url (PostgreSQL)")
        if self.url is not None:
            parts = urlsplit(self.url)
            if parts.scheme not in ("postgresql", "postgres"):
                raise FieldError(["url"], "url is not one of PostgreSQL; write it like postgresql://user@host/database")
            if parts.password is not None:
                raise FieldError(["url"], "url holds a password; put it into password_file")
        elif self.password_file is not None:
            raise FieldError(["password_file"], "password_file goes with url; remove it")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Home agent backend."""

    name: Name
    link: LinkConfig
    database: DatabaseConfig
    http: HttpConfig
    home_prefixes: Annotated[list[Prefix], Meta(min_length=1, description="Prefixes whose addresses are home addresses here.")]
    home_agent_address: Annotated[
        Literal["per_instance", "shared"],
        Meta(description="per_instance: every HA-PP has its own address. shared: one address that moves to the HA-PP that serves."),
    ] = "per_instance"
    shared_address: Annotated[Address | None, Meta(description="The home agent address in mode shared, inside a home prefix.")] = None
    beat_ms: Annotated[PositiveMs, Meta(description="Interval of an HA-PP's heartbeats, milliseconds.")] = 100
    missed_beats: Annotated[int, Meta(ge=2, le=100, description="Missed heartbeats after which an HA-PP is lost.")] = 3
    lease_ms: Annotated[PositiveMs, Meta(description="How long an HA-PP may serve after its last answered heartbeat, milliseconds.")] = 2000
    max_lifetime_s: Annotated[int, Meta(ge=4, le=262140, description="Longest lifetime granted to a binding, seconds.")] = 3600
    home_agent_lifetime_s: Annotated[int, Meta(ge=1, le=65535, description="Lifetime in the home agents list, seconds.")] = 1800
    ves: Annotated[VesConfig | None, Meta(description="Events to a VES collector; nothing is reported without it.")] = None
    user: ProcessUser | None = None
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        if self.lease_ms < self.missed_beats * self.beat_ms:
            raise FieldError(
                ("lease_ms", "missed_beats", "beat_ms"),
                "lease_ms is shorter than missed_beats * beat_ms, an HA-PP would stop before it is missed; raise lease_ms",
            )
        if (self.home_agent_address == "shared") != (self.shared_address is not None):
            raise FieldError(("home_agent_address", "shared_address"), "they go together; set shared_address with `shared`, and only then")
        if self.shared_address is not None and not any(prefix.contains(self.shared_address) for prefix in self.home_prefixes):
            raise FieldError(("shared_address", "home_prefixes"), "shared_address lies in no home prefix; give an address of home_prefixes")


def settings(config: Config) -> Settings:
    """Parameters of the core. Reads the link's secret; raises ConfigError."""
    token = read_secret(config.link.token_file, "link.token_file") if config.link.token_file is not None else b""
    return Settings(
        home_prefixes=tuple(prefix.pair() for prefix in config.home_prefixes),
        address_mode=config.home_agent_address,
        shared_address=bytes(config.shared_address or b""),
        token=token,
        beat_ms=config.beat_ms,
        missed_beats=config.missed_beats,
        lease_ms=config.lease_ms,
        max_lifetime_s=config.max_lifetime_s,
        home_agent_lifetime_s=config.home_agent_lifetime_s,
    )


def database_password(config: DatabaseConfig) -> str | None:
    """Raises ConfigError."""
    if config.password_file is None:
        return None
    try:
        return read_secret(config.password_file, "database.password_file").decode()
    except UnicodeDecodeError:
        raise ConfigError(config.password_file, "database.password_file", "is not UTF-8; write the password as text") from None


def check(config: Config) -> None:
    """Read everything that the configuration names. Raises ConfigError."""
    settings(config)
    database_password(config.database)
    server_context(config.link.tls, "link.tls")
    if config.ves is not None:
        ves.check(config.ves)
    if config.http.tls is not None:
        server_context(config.http.tls, "http.tls")
    if config.http.token_file is not None:
        read_secret(config.http.token_file, "http.token_file")
    elif config.http.tls is None or config.http.tls.client_ca is None:
        raise ConfigError("http", "http.token_file", "the API could be used by anybody; set token_file, or client_ca in http.tls")
