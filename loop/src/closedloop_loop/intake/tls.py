"""The TLS server's context: version 1.2 with forward secrecy, which VES senders in the field need, or 1.3."""

from __future__ import annotations

import ssl
from pathlib import Path

from closedloop_loop.files import FileError
from closedloop_loop.intake.config import Tls


def context(tls: Tls, *, password_too: bool) -> ssl.SSLContext:
    """password_too: a sender without a certificate may still authenticate by password. Raises FileError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    _load_chain(made, tls)
    if tls.client_ca is not None:
        try:
            made.load_verify_locations(tls.client_ca)
        except ssl.SSLError:
            raise FileError(tls.client_ca, "tls.client_ca", "holds no PEM certificate; give the file of the authority") from None
        except OSError as error:
            raise FileError(tls.client_ca, "tls.client_ca", f"cannot be read ({error.strerror}); give the file of the authority") from None
        made.verify_mode = ssl.CERT_OPTIONAL if password_too else ssl.CERT_REQUIRED
    return made


def _load_chain(made: ssl.SSLContext, tls: Tls) -> None:
    for field, name in (("tls.certificate", tls.certificate), ("tls.key", tls.key)):
        try:
            mode = Path(name).stat().st_mode
        except OSError as error:
            raise FileError(name, field, f"cannot be read ({error.strerror}); give an existing PEM file") from None
        if field == "tls.key" and mode & 0o027:
            raise FileError(name, field, f"has mode {mode & 0o777:04o}, others may use it; chmod 0600 it")
    try:
        made.load_cert_chain(tls.certificate, tls.key)
    except ssl.SSLError as error:
        raise FileError(
            tls.certificate, "tls.certificate", f"does not load with tls.key ({error.reason}); give a matching PEM pair"
        ) from None
    except OSError as error:
        raise FileError(tls.key, "tls.key", f"cannot be read ({error.strerror}); let this user read it") from None
