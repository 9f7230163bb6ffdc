"""Throw-away network namespaces for tests: MN - router - HA - home link - CN, on real veth pairs.

mn --visited-- r --region-- ha
               r --home(bridge)-- ha, n        n: a neighbour on the home link
               r --cn-- cn
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = itertools.count(1)

HOME_ADDRESS = "2001:db8:a::1"
CARE_OF = "2001:db8:c::1"
HOME_AGENT = "2001:db8:a0::1"
"""The home agent's address on its region link (`per_instance`)."""
HOME_LINK = "2001:db8:a::ff"
"""The home agent's own address on the home link."""
SHARED = "2001:db8:a::a"
"""The moving home agent address on the home link (`shared`)."""
CORRESPONDENT = "2001:db8:b::1"
NEIGHBOUR = "2001:db8:a::e"

_ADDRESSES = {
    "mn": {"visited": f"{CARE_OF}/64"},
    "ha": {"region": f"{HOME_AGENT}/64", "home": f"{HOME_LINK}/64"},
    "cn": {"cn": f"{CORRESPONDENT}/64"},
    "n": {"home": f"{NEIGHBOUR}/64"},
    "r": {"visited": "2001:db8:c::ff/64", "region": "2001:db8:a0::ff/64", "home": "2001:db8:a::fe/64", "cn": "2001:db8:b::ff/64"},
}
_DEFAULT_ROUTES = {"mn": "2001:db8:c::ff", "ha": "2001:db8:a0::ff", "cn": "2001:db8:b::ff", "n": "2001:db8:a::fe"}


def octets(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


def run(*command: str, check: bool = True, stdin: str | None = None, errors_too: bool = False) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout + done.stderr if errors_too else done.stdout


@contextmanager
def entered(path: str) -> Iterator[None]:
    """This thread is in the network namespace of that file."""
    with Path("/proc/thread-self/ns/net").open() as before, Path(path).open() as target:
        _setns(target.fileno())
        try:
            yield
        finally:
            _setns(before.fileno())


def _setns(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def eventually(what: str, probe: Callable[[], object], *, within_s: float = 60.0) -> None:
    """Poll until `probe` is true. Raises AssertionError that says what did not happen."""
    deadline = time.monotonic() + within_s
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.005)


class Bed:
    """The namespaces of one test; `close` removes them."""

    def __init__(self) -> None:
        self._prefix = f"clt{os.getpid()}-{next(_NUMBERS)}-"
        self._processes: list[subprocess.Popen[str]] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def name(self, host: str) -> str:
        return self._prefix + host

    def _build(self) -> None:
        hosts = [*_ADDRESSES, "fabric"]
        run("ip", "-batch", "-", stdin="".join(f"netns add {self.name(host)}\n" for host in hosts))
        fabric = self.name("fabric")
        for host in hosts:
            with self.inside(host):
                for sysctl in ("conf/all/accept_dad", "conf/default/accept_dad"):
                    Path(f"/proc/sys/net/ipv6/{sysctl}").write_text("0", encoding="ascii")
        with self.inside("r"):
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1", encoding="ascii")
        links = ("visited", "region", "home", "cn")
        commands = ["link set lo up"]
        for link in links:
            commands += [f"link add {link} type bridge mcast_snooping 0", f"link set {link} up"]
        for host, interfaces in _ADDRESSES.items():
            for link in interfaces:
                port = f"{host}-{link}"
                commands += [
                    f"link add {port} type veth peer name {link} netns {self.name(host)}",
                    f"link set {port} master {link} up",
                ]
        run("ip", "-n", fabric, "-batch", "-", stdin="\n".join(commands) + "\n")
        for host, interfaces in _ADDRESSES.items():
            own = ["link set lo up"]
            for link, address in interfaces.items():
                own += [f"link set {link} up", f"address add {address} dev {link} nodad"]
            if host in _DEFAULT_ROUTES:
                own.append(f"route add default via {_DEFAULT_ROUTES[host]}")
            run("ip", "-6", "-n", self.name(host), "-batch", "-", stdin="\n".join(own) + "\n")

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """This thread is in the host's network namespace; sockets opened here stay there."""
        with entered(f"/run/netns/{self.name(host)}"):
            yield

    def ip(self, host: str, command: str) -> str:
        """`ip -6 ...` in the host."""
        return run("ip", "-n", self.name(host), "-6", *command.split())

    def ping(self, host: str, destination: str, *, source: str | None = None, count: int = 3, size: int = 56) -> int:
        """Replies received to `count` echo requests that may not be fragmented."""
        output = self.ping_output(host, destination, source=source, count=count, size=size)
        return int(output.split(" received")[0].rsplit(" ", 1)[1])

    def ping_output(self, host: str, destination: str, *, source: str | None = None, count: int = 1, size: int = 56) -> str:
        arguments = ["-6", "-c", str(count), "-i", "0.02", "-W", "1", "-M", "do", "-s", str(size)]
        if source is not None:
            arguments += ["-I", source]
        return run("ip", "netns", "exec", self.name(host), "ping", *arguments, destination, check=False, errors_too=True)

    def spawn(self, host: str, *command: str) -> subprocess.Popen[str]:
        """A process in the host; it ends with the bed."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name(host), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._processes.append(process)
        return process

    def udp(self, host: str, address: str, port: int = 0) -> socket.socket:
        """A non-blocking UDP socket in the host."""
        with self.inside(host):
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.bind((address, port))
        return sock

    def raw(self, host: str) -> socket.socket:
        """A socket that sends whole IPv6 packets from the host."""
        with self.inside(host):
            return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def tap(self, host: str, interface: str) -> socket.socket:
        """A non-blocking socket that sees every IPv6 packet of an interface, both ways, without link-layer header."""
        with self.inside(host):
            every_protocol = 3  # a socket of one protocol would miss what is sent
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(every_protocol))
            sock.bind((interface, every_protocol))
        return sock

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        names = [self.name(host) for host in [*_ADDRESSES, "fabric"]]
        run("ip", "-force", "-batch", "-", check=False, stdin="".join(f"netns del {name}\n" for name in names))


def received(sock: socket.socket, *, within_s: float = 1.0) -> bytes | None:
    """The next datagram of a non-blocking socket, None after the deadline."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            return sock.recv(65535)
        except BlockingIOError:
            time.sleep(0.002)
    return None


def drained(sock: socket.socket) -> list[bytes]:
    """What waits in a non-blocking socket."""
    packets = []
    while True:
        try:
            packets.append(sock.recv(65535))
        except BlockingIOError:
            return packets
