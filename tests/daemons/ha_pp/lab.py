"""A throw-away home network in namespaces around one real `ha-pp`: a router, the home link with a host, a visited link.

    mn eth0 --visited-- r --region-- up0 ha home0 --+-- home link (bridge `home` in r) -- eth0 host
                        r (address ::ff on it) -----+

The test process opens the sockets of the scripted mobile node (in `mn`) and of the scripted HA-B (in `r`) itself. Namespaces carry the test
process's number and are removed whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.daemons.unprivileged import AT_START, SETPRIV, USER, folder_of_user, late_imports, watched

T = TypeVar("T")

AGENT = "2001:db8:a::1"
SHARED = "2001:db8:40::100"
HOME_LINK = "2001:db8:40::a"
HOME_PREFIX = "2001:db8:40::"
HOST = "2001:db8:40::99"
HOME = "2001:db8:40::11"
CARE_OF = "2001:db8:51::11"
CARE_OF_2 = "2001:db8:51::12"
BACKEND = "2001:db8:a::ff"
BACKEND_PORT, HEALTH_PORT = 7000, 9000
TOKEN = "link-secret-of-the-test"
KEY = bytes(range(16))
SPI = 1000
_CLONE_NEWNET = 0x40000000


def octets(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


async def until(what: str, probe: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Poll until `probe` gives something; fails with `what` when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.01)


class Lab:
    """The network. `close` removes it."""

    HOSTS = ("r", "ha", "mn", "host")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder_of_user()
        self.prefix = f"clh{os.getpid()}-"
        self.processes: list[subprocess.Popen[Any]] = []
        certificates(folder)

    def run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr or done.stdout}")
        return done.stdout

    def inside(self, host: str, command: str, *, check: bool = True) -> str:
        return self.run("ip", "netns", "exec", self.prefix + host, *command.split(), check=check)

    def ip(self, host: str, lines: str) -> None:
        """`ip` commands, one per line, in one process."""
        done = subprocess.run(["ip", "-n", self.prefix + host, "-batch", "-"], input=lines, text=True, check=False, capture_output=True)
        if done.returncode:
            raise AssertionError(f"{host}: {lines!r}: {done.stderr}")

    def start(self, host: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(["ip", "netns", "exec", self.prefix + host, *command], **options)
        self.processes.append(process)
        return process

    def open_socket(self, host: str, make: Callable[[], T]) -> T:
        """What `make` opens, opened inside the namespace of `host`. A thread of its own goes there and ends."""
        result: list[T] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with open(f"/run/netns/{self.prefix}{host}") as namespace:  # noqa: PTH123 - a descriptor is what setns takes
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(make())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return result[0]

    def build(self) -> None:
        for host in self.HOSTS:
            self.run("ip", "netns", "add", self.prefix + host)
            self.ip(host, "link set lo up")
            self.inside(
                host, "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.dad_transmits=0"
            )
        self.inside("r", "sysctl -qw net.ipv6.conf.all.forwarding=1")
        self.ip("r", f"link add home type bridge\nlink set home up\naddress add {HOME_PREFIX}ff/64 dev home nodad")
        self._wire("r", "region", "ha", "up0")
        self._wire("r", "visited", "mn", "eth0")
        self._wire("r", "p-ha", "ha", "home0")
        self._wire("r", "p-host", "host", "eth0")
        self.ip("r", "link set p-ha master home\nlink set p-host master home")
        self.ip("r", f"address add {BACKEND}/64 dev region nodad\naddress add 2001:db8:51::ff/64 dev visited nodad")
        self.ip("ha", f"address add {AGENT}/64 dev up0 nodad\naddress add {HOME_LINK}/64 dev home0 nodad\nroute add default via {BACKEND}")
        self.ip(
            "mn",
            f"address add {CARE_OF}/64 dev eth0 nodad\naddress add {CARE_OF_2}/64 dev eth0 nodad\nroute add default via 2001:db8:51::ff",
        )
        self.ip("host", f"address add {HOST}/64 dev eth0 nodad\nroute add default via {HOME_PREFIX}ff")

    def _wire(self, left: str, left_device: str, right: str, right_device: str) -> None:
        self.run(
            "ip",
            "link",
            "add",
            left_device,
            "netns",
            self.prefix + left,
            "type",
            "veth",
            "peer",
            "name",
            right_device,
            "netns",
            self.prefix + right,
        )
        self.ip(left, f"link set {left_device} up")
        self.ip(right, f"link set {right_device} up")

    def kernel_state(self) -> str:
        """What of the home agent can be left in the namespace `ha`: routes, rules, proxy neighbours, addresses, nftables."""
        commands = (
            "ip -6 route show table all",
            "ip -6 rule",
            "ip -6 neigh show proxy",
            "ip -6 addr show scope global",
            "nft list ruleset",
        )
        lines = [f"{command}: {line}" for command in commands for line in self.inside("ha", command).splitlines()]
        # Reachability of neighbours and multicast routes come and go by themselves.
        return "\n".join(sorted(line for line in lines if "multicast" not in line and "anycast" not in line))

    async def pings(self, target: str, count: int = 1, patience_s: float = 1.0) -> bool:
        """Whether the host on the home link gets all its pings answered. The scripted mobile node goes on answering meanwhile."""
        command = f"ping -6 -n -q -c {count} -i 0.02 -W {patience_s} {target}"
        return f" {count} received" in await asyncio.to_thread(self.inside, "host", command, check=False)

    async def reachable(self, target: str, wanted: bool = True, seconds: float = 60.0) -> None:
        """Wait until a ping is answered, or no longer."""
        deadline = time.monotonic() + seconds
        while await self.pings(target, patience_s=0.1) is not wanted:
            assert time.monotonic() < deadline, f"not within {seconds} s: {target} reachable is {wanted}"

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()
                process.wait()
        for host in self.HOSTS:
            self.run("ip", "netns", "delete", self.prefix + host, check=False)
        late = late_imports(self.state)
        shutil.rmtree(self.state)
        assert late == [], "an unprivileged ha-pp cannot import what only root can read"


def certificates(folder: Path) -> None:
    """An authority and the certificate of HA-B, as PEM files in `folder`."""
    now = datetime.datetime.now(datetime.UTC)

    def make(name: str, signer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer, issuer_key = signer or (subject, key)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = folder / f"{name}.key"
        file.touch(mode=0o600)
        file.write_bytes(pem)
        return subject, key

    make("ha-b", make("ca", None))


class Probes:
    """Requests on one connection."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON body."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


class Daemon:
    """`ha-pp` in the namespace `ha`: starts as root below a folder of root's, becomes USER with the two capabilities it needs."""

    def __init__(self, lab: Lab, *, backend_ca: str = "ca.pem", **changes: Any) -> None:
        self.lab = lab
        token = lab.folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        values: dict[str, Any] = {
            "name": "ha-pp-a",
            "region": "a",
            "address": AGENT,
            "uplink_interface": "up0",
            "home_link": {"interface": "home0", "address": HOME_LINK, "dad_transmits": 0, "retrans_timer_ms": 100},
            "backend": {
                "host": BACKEND,
                "port": BACKEND_PORT,
                "token_file": "token",
                "tls": {"ca": backend_ca, "server_name": "ha-b"},
            },
            "health": {"address": AGENT, "port": HEALTH_PORT},
            "user": USER,
        } | changes
        self.config = lab.folder / "ha-pp.yml"
        self.config.write_text(json.dumps(values))
        self.log = lab.folder / "ha-pp.log"
        self.started_at = 0.0
        self.process: subprocess.Popen[Any]

    def start(self, bounding_set: str = AT_START) -> Daemon:
        with self.log.open("a") as log:
            self.started_at = time.monotonic()
            self.process = self.lab.start(
                "ha",
                *(*SETPRIV, f"--bounding-set={bounding_set}"),
                *(sys.executable, "-m", "closedloop_nf.ha_pp.main", "--config", str(self.config)),
                stderr=log,
                env=watched(self.lab.state),
            )
        return self

    def alive(self) -> None:
        assert self.process.poll() is None, f"ha-pp ended with {self.process.returncode}: {self.log.read_text()[-3000:]}"

    async def stop(self) -> int:
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 10)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if event in line.values()]

    def resident_mb(self) -> float:
        """Resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_seconds(self) -> float:
        """User and system time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP request, made from the router."""

        def ask() -> tuple[int, str]:
            connection = http.client.HTTPConnection(AGENT, HEALTH_PORT, timeout=60)
            connection.sock = self.lab.open_socket("r", lambda: socket.create_connection((AGENT, HEALTH_PORT), 5))
            with contextlib.closing(connection):
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()

        return await asyncio.to_thread(ask)

    @contextlib.contextmanager
    def connection(self) -> Iterator[Probes]:
        """A connection that stays open for several requests, from the router."""
        connection = http.client.HTTPConnection(AGENT, HEALTH_PORT, timeout=60)
        connection.sock = self.lab.open_socket("r", lambda: socket.create_connection((AGENT, HEALTH_PORT), 5))
        with contextlib.closing(connection):
            yield Probes(connection)

    async def metrics(self) -> dict[str, float]:
        """/metrics as {'name{labels}': value}, comments left out."""
        status, text = await self.get("/metrics")
        assert status == 200, text
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}


@contextlib.contextmanager
def lab_in(folder: Path) -> Iterator[Lab]:
    lab = Lab(folder)
    try:
        lab.build()
        yield lab
    finally:
        lab.close()
