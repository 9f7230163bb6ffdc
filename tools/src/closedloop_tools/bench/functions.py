"""The network functions as processes in the testbed: configuration, start, readiness, memory, end."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from closedloop_tools.bench import testbed
from closedloop_tools.bench.testbed import Testbed

LINK_PORT = 7626
API_PORT = 7627
HEALTH_PORT = 7628
NAME = "ha-pp-bench"
"""Of the HA-PP."""


class Function:
    """One process of a network function. Its log is the file `<folder>/<host>.log`."""

    def __init__(self, bed: Testbed, host: str, command: str, config: Path, *, cores: Sequence[int] = ()) -> None:
        """cores: processors it may use; empty for all."""
        self._host = host
        self._log = config.parent / f"{host}.log"
        argv = bed.command(host, str(Path(sys.executable).parent / command), "--config", str(config))
        if cores:
            argv = ["taskset", "--cpu-list", ",".join(map(str, cores)), *argv]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid  # taskset and ip replace themselves by what they start

    def rss_mb(self) -> float:
        """Resident memory, 10^6 octets."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError(f"{self._host}: process {self.pid} has no resident memory; it has ended")

    def cpu_s(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        """Poll every 5 ms. Raises RuntimeError with the end of the log when the process ends or the time is over."""
        end = time.monotonic() + timeout_s
        while not condition():
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"{self._host} ended with status {self._process.returncode} before {what}; its log ends:\n{self._tail()}"
                )
            if time.monotonic() > end:
                raise RuntimeError(f"{self._host}: {what} not reached within {timeout_s} s; its log ends:\n{self._tail()}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Clean stop, at the latest after 10 s by force."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])


class Functions:
    """Starts HA-B, HA-PP and the mobile node in a testbed with one set of certificates and secrets, below `folder`."""

    def __init__(self, bed: Testbed, folder: Path, cores: Sequence[int] = ()) -> None:
        """cores: where HA-B and HA-PP run; empty for anywhere."""
        self.bed, self.folder, self._cores = bed, folder, cores
        self._token = secrets.token_hex(16)
        self.mobile_key = secrets.token_bytes(16)
        """Key of the mobile node that runs as a daemon."""
        for name, secret in (("token", self._token), ("mobile.key", self.mobile_key.hex())):
            _private(folder / name, secret.encode())
        _certificate(folder)

    def backend(self, database: Path) -> Function:
        """HA-B on an SQLite file, serving when this returns."""
        config = self._write(
            "ha-b",
            {
                "name": "ha-b",
                "link": {"address": testbed.BACKEND, "port": LINK_PORT, "tls": self._server_tls(), "token_file": "token"},
                "http": {"address": testbed.BACKEND, "port": API_PORT, "token_file": "token"},
                "database": {"path": str(database)},
                "home_prefixes": [testbed.HOME_PREFIX],
                "log_level": "warning",
            },
        )
        function = Function(self.bed, "ha-b", "ha-b", config, cores=self._cores)
        function.wait_until(lambda: self._answers("ha-b", testbed.BACKEND, API_PORT, "/healthz"), "health")
        return function

    def packet_processor(self) -> Function:
        """HA-PP, serving when this returns. New home addresses take no duplicate address detection."""
        config = self._write(
            "ha-pp",
            {
                "name": NAME,
                "region": "bench",
                "address": testbed.HOME_AGENT,
                "uplink_interface": "region",
                "home_link": {"interface": "home", "address": testbed.HOME_AGENT_ON_HOME_LINK, "dad_transmits": 0},
                "backend": {
                    "host": testbed.BACKEND,
                    "port": LINK_PORT,
                    "token_file": "token",
                    "tls": {"ca": "server.pem", "server_name": "ha-b.bench"},
                },
                "health": {"address": "::", "port": HEALTH_PORT, "token_file": "token"},
                "log_level": "warning",
            },
        )
        function = Function(self.bed, "ha-pp", "ha-pp", config, cores=self._cores)
        function.wait_until(lambda: self._answers("ha-pp", testbed.HOME_AGENT, HEALTH_PORT, "/readyz"), "readiness")
        return function

    def mobile_node(self, home_address: str, spi: int) -> Function:
        """The mobile node on the visited link, bound when this returns."""
        config = self._write(
            "mn",
            {
                "home_address": home_address,
                "home_prefix": testbed.HOME_PREFIX,
                "interfaces": ["eth0"],
                "home_agents": [testbed.HOME_AGENT],
                "spi": spi,
                "key_file": "mobile.key",
                "lifetime_s": 3600,
                "deregister_on_stop": False,
                "timers": {"first_bindack_timeout_ms": 200, "initial_bindack_timeout_ms": 200},
                "http": {"address": "::1", "port": HEALTH_PORT},
                "log_level": "warning",
            },
        )
        function = Function(self.bed, "mn", "mobile-node", config)
        function.wait_until(lambda: self._answers("mn", "::1", HEALTH_PORT, "/readyz"), "a binding")
        return function

    def events(self) -> list[dict[str, Any]]:
        """HA-B's events, oldest first."""
        page = json.loads(self._get("ha-b", testbed.BACKEND, API_PORT, "/v1/events?limit=1000")[1])
        return list(page["events"])

    def _answers(self, host: str, address: str, port: int, path: str) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._get(host, address, port, path)[0] == 200
        return False

    def _get(self, host: str, address: str, port: int, path: str) -> tuple[int, bytes]:
        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(address, port, timeout=5)
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        return self.bed.run(host, ask)

    def _write(self, name: str, config: dict[str, Any]) -> Path:
        file = self.folder / f"{name}.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return file

    def _server_tls(self) -> dict[str, str]:
        return {"certificate": "server.pem", "key": "server.key"}


def _private(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)


def _certificate(folder: Path) -> None:
    """server.pem and server.key: HA-B's certificate, its own authority, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ha-b.bench")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("ha-b.bench"), x509.IPAddress(ipaddress.ip_address(testbed.BACKEND))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _private(folder / "server.key", private)
