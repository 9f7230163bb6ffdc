"""The listener as a process, on its own or as the event source, with certificates of its own; and a client."""

from __future__ import annotations

import base64
import datetime
import http.client
import ipaddress
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any

from closedloop_loop.intake import credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "ha-b", "correct horse"
PATIENCE_S = 60.0


class Authority:
    """Signs certificates; `file` is its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._sign(self._name, self._key, authority=True))

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("::1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, secret = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, authority=False))
        secret.touch(mode=0o600)
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return certificate, secret


@dataclass
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def message_id(self) -> str:
        [error] = json.loads(self.body)["requestError"].values()
        return str(error["messageId"])


class Listener:
    """`closedloop ves` with one configuration; started and killed as often as a test likes.

    With `password` or `senders` (an authority's file) or both.
    """

    def __init__(self, folder: Path, authority: Authority, *, password: bool = True, senders: Path | None = None, **settings: Any) -> None:
        certificate, key = authority.issue("listener")
        tls = {"certificate": str(certificate), "key": str(key), **({"client_ca": str(senders)} if senders else {})}
        place = {} if "kafka" in settings else {"journal": "journal.db"}
        self.settings: dict[str, Any] = {"host": "::1", "port": 0, "tls": tls, **place, **settings}
        if password:
            file = folder / "credentials"
            file.touch(mode=0o600)
            file.write_text(credentials.line(USER, PASSWORD.encode()) + "\n")
            self.settings["credentials"] = str(file)
        self.file = folder / "ves.yml"
        self.file.write_text(json.dumps(self.settings))
        self.folder = folder
        self.tls = ssl.create_default_context(cafile=str(authority.file))
        self.port = 0
        self.log: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "closedloop_loop.main", "ves", "--config", str(self.file)]

    def start(self) -> None:
        """Returns when it listens."""
        self.process = subprocess.Popen(self.command(), cwd=self.folder, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.log = []
        threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True).start()
        deadline = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"listening\D+(\d+)", "".join(self.log))):
            assert self.process.poll() is None, "".join(self.log)
            assert time.monotonic() < deadline, f"does not listen: {self.log}"
            time.sleep(0.01)
        self.port = int(found[1])

    @property
    def cpu_s(self) -> float:
        """Of the process alone: what it costs, however busy the machine is with other things."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mb(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+) kB", self._proc("status"))
        assert found is not None
        return int(found[1]) * 1024 / 1e6

    @property
    def journal_mb(self) -> float:
        """On the disk, write-ahead log and all."""
        return sum(file.stat().st_size for file in self.folder.glob("journal.db*")) / 1e6

    def _proc(self, name: str) -> str:
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.log.append(line)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """By SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        status = self.process.wait(PATIENCE_S)
        self.process = None
        return status

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user: str | None = USER,
        password: str = PASSWORD,
        tls: ssl.SSLContext | None = None,
    ) -> Answer:
        given = dict(headers or {})
        if user is not None:
            given["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE_S, context=tls or self.tls)
        connection._create_connection = lambda _address, *rest: _dial(self.port, *rest)  # type: ignore[attr-defined] # localhost may be IPv4 first
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def send(self, document: Any, **options: Any) -> Answer:
        path = "/eventListener/v7" + ("/eventBatch" if "eventList" in document else "")
        return self.ask("POST", path, json.dumps(document), {"Content-Type": "application/json"}, **options)

    def metric(self, name: str) -> float:
        text = self.ask("GET", "/metrics").body.decode()
        found = re.search(rf"^closedloop_ves_{re.escape(name)} (\S+)$", text, re.M)
        assert found, text
        return float(found[1])


class Baseline(Listener):
    """An HTTP server over TLS that does nothing of what a listener does."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "closedloop_tools.ves_source.baseline", str(self.file)]


class Source(Listener):
    """The event source with a policy, and a rulebook's queue that is emptied at once; it prints each onset's status."""

    def __init__(self, folder: Path, authority: Authority, *, policy: str, **settings: Any) -> None:
        file = folder / "policy.yml"
        file.write_text(policy)
        super().__init__(folder, authority, policy=str(file), **settings)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "closedloop_tools.ves_source.source", str(self.file)]


def _dial(port: int, *rest: Any) -> Any:
    return socket.create_connection(("::1", port), *rest)
