"""TLS contexts: version 1.3 only, certificates always verified."""

from __future__ import annotations

import ssl
from pathlib import Path

from closedloop_nf.runtime.config import ConfigError, TlsClientConfig, TlsServerConfig


def server_context(files: TlsServerConfig, field: str = "tls") -> ssl.SSLContext:
    """Context of a server; with `client_ca` a client without a valid certificate is refused. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _load_chain(context, files.certificate, files.key, field)
    if files.client_ca is not None:
        _load_authorities(context, files.client_ca, f"{field}.client_ca")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: TlsClientConfig, field: str = "tls") -> ssl.SSLContext:
    """Context of a client. The name checked is what the caller gives as `server_hostname`: `files.server_name` or the address dialled."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _load_authorities(context, files.ca, f"{field}.ca")
    if files.certificate is not None and files.key is not None:
        _load_chain(context, files.certificate, files.key, field)
    return context


def peer_common_name(tls: ssl.SSLObject | ssl.SSLSocket | None) -> str | None:
    """Common name of the peer's verified certificate, None where there is none."""
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    for group in certificate.get("subject", ()):
        for pair in group:
            if len(pair) == 2 and pair[0] == "commonName":
                return str(pair[1])
    return None


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path, field: str) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise ConfigError(key, f"{field}.key", f"cannot be read ({error.strerror}); give an existing PEM file") from None
    if mode & 0o027:
        raise ConfigError(key, f"{field}.key", f"private key has mode {mode & 0o777:04o}, others may use it; chmod 0600 it")
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ConfigError(
            certificate, f"{field}.certificate", f"certificate and key do not load ({error.reason}); give a matching PEM pair"
        ) from None
    except OSError as error:
        raise ConfigError(certificate, f"{field}.certificate", f"cannot be read ({error.strerror}); give an existing PEM file") from None


def _load_authorities(context: ssl.SSLContext, path: Path, field: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(path, field, "holds no PEM certificate; give the file of the authority") from None
    except OSError as error:
        raise ConfigError(path, field, f"cannot be read ({error.strerror}); give the file of the authority") from None
