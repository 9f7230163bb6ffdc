"""The part `ves:` of a function's configuration: where events go, how often figures are sent, where unsent ones wait."""

from __future__ import annotations

import ssl
from base64 import b64encode
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from closedloop_nf.runtime.config import ConfigError, FieldError, PositiveMs, TlsClientConfig, read_secret
from closedloop_nf.runtime.tls import client_context


class VesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reporting to a VES collector; without this part nothing is reported."""

    url: Annotated[str, Meta(description="The collector, like https://collector.example:8443; /eventListener/v7 is added.")]
    tls: Annotated[TlsClientConfig, Meta(description="The collector's authority, and a client certificate where that authenticates.")]
    username: Annotated[str, Meta(pattern="^[!-9;-~]{1,255}$", description="User of HTTP basic authentication, without ':'.")] | None = None
    password_file: Annotated[Path | None, Meta(description="File with that user's password.")] = None
    queue: Annotated[Path, Meta(description="SQLite file in which events wait for the collector; this process's own.")]
    max_events: Annotated[
        int, Meta(ge=200, le=1_000_000, description="Events that may wait; beyond it the oldest figures go first, faults last.")
    ] = 10_000
    measurement_ms: Annotated[PositiveMs, Meta(description="Interval of measurement events, milliseconds.")] = 1000
    heartbeat_s: Annotated[int, Meta(ge=1, le=86_400, description="Interval of heartbeat events, seconds.")] = 10

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            well = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
        except ValueError:
            well = False
        if not well or not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise FieldError(["url"], "url is not one of HTTPS; write it like https://collector.example:8443")
        if parts.username is not None or parts.query or parts.fragment:
            raise FieldError(["url"], "url holds more than host, port and path; give the user by username and password_file")
        if (self.username is None) != (self.password_file is None):
            raise FieldError(("username", "password_file"), "username and password_file go together; give both or neither")
        if self.username is None and self.tls.certificate is None:
            raise FieldError(
                ("username", "password_file", "tls.certificate"),
                "the collector could not know who reports; set username and password_file, or certificate in tls",
            )


def authorization(config: VesConfig) -> str | None:
    """The header of basic authentication, None where a certificate authenticates. Raises ConfigError."""
    if config.username is None or config.password_file is None:
        return None
    password = read_secret(config.password_file, "ves.password_file")
    return "Basic " + b64encode(config.username.encode() + b":" + password).decode()


def tls_context(config: VesConfig) -> ssl.SSLContext:
    """As the VES listener specification wants it: TLS 1.2 or newer, while our own links take 1.3 only. Raises ConfigError."""
    context = client_context(config.tls, "ves.tls")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Access(NamedTuple):
    """What the collector is reached with."""

    authorization: str | None
    tls: ssl.SSLContext


def access(config: VesConfig) -> Access:
    """Read the secrets and certificates that the part names. Raises ConfigError."""
    return Access(authorization(config), tls_context(config))


def check(config: VesConfig) -> None:
    """Read everything that the part names. Raises ConfigError."""
    access(config)
    if not config.queue.parent.is_dir():
        raise ConfigError(config.queue.parent, "ves.queue", "is no directory; create it, owned by this user")
