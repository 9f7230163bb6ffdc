"""Network namespaces of the bench: mobile nodes - router - home agent - home link - correspondent node, and the backend.

    mn ---[visited]--- router ---[region]--- ha-pp
                         |  '------[home]------'
                         |---[cn]--- cn
                         '---[backend]--- ha-b

Traffic between correspondent node and visited link takes the same way with Mobile IPv6 and without: through the home agent's namespace.
So plain routing is measured through the same namespaces, links and hops.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from closedloop_tools import namespaces
from closedloop_tools.namespaces import in_namespace

T = TypeVar("T")

HOSTS = ("router", "mn", "ha-pp", "ha-b", "cn")

HOME_PREFIX = "2001:db8:100::/64"
ROAMING_PREFIX = "2001:db8:77::/48"
"""Care-of addresses of the load generator: the router sends the prefix to mn, which has none of its addresses and keeps quiet."""
HOME_AGENT = "2001:db8:a::1"
HOME_AGENT_ON_HOME_LINK = "2001:db8:100::a"
BACKEND = "2001:db8:be::1"
CORRESPONDENT = "2001:db8:c::1"
MOBILE_NODE_PLAIN = "2001:db8:1::1"
"""Address of mn on the visited link, reached by plain routing."""

_LINKS = {  # link: (host, interface there, its address, the router's address)
    "visited": ("mn", "eth0", f"{MOBILE_NODE_PLAIN}/64", "2001:db8:1::ff/64"),
    "region": ("ha-pp", "region", f"{HOME_AGENT}/64", "2001:db8:a::ff/64"),
    "home": ("ha-pp", "home", f"{HOME_AGENT_ON_HOME_LINK}/64", "2001:db8:100::ff/64"),
    "backend": ("ha-b", "eth0", f"{BACKEND}/64", "2001:db8:be::ff/64"),
    "cn": ("cn", "eth0", f"{CORRESPONDENT}/64", "2001:db8:c::ff/64"),
}
_DETOUR = 7
"""Routing table of the router for packets from the correspondent node: the visited link lies behind the home agent."""
_NAME = re.compile(r"^clb(\d+)-")


class Testbed:
    """The namespaces, each named clb<process id>-<host>. Use as a context manager; leaving it ends what runs inside and removes them."""

    def __init__(self) -> None:
        self._prefix = f"clb{os.getpid()}-"

    def namespace(self, host: str) -> str:
        return self._prefix + host

    def __enter__(self) -> Testbed:
        remove_left_over()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for host in HOSTS:
            namespaces.remove(self.namespace(host))

    def _build(self) -> None:
        for host in HOSTS:
            namespaces.create(self.namespace(host))
        for host in HOSTS:
            _ip(self.namespace(host), "link set lo up")
        for link, (host, interface, address, router_address) in _LINKS.items():
            router, other = self.namespace("router"), self.namespace(host)
            _ip(router, f"link add {link} type veth peer name {interface} netns {other}")
            for name, where, what in ((link, router, router_address), (interface, other, address)):
                # A lone veth pair needs no duplicate address detection, and the bench no second without addresses.
                _sysctl(where, f"conf/{name}/accept_dad", "0")
                _ip(where, f"addr add {what} dev {name} nodad", f"link set {name} up")
        for host in ("router", "ha-pp"):
            _sysctl(self.namespace(host), "conf/all/forwarding", "1")
        visited, region, home, backend, cn = (_LINKS[link][3].partition("/")[0] for link in _LINKS)
        _ip(self.namespace("mn"), f"route add default via {visited} metric 100")
        _ip(self.namespace("ha-pp"), f"route add default via {region}", f"route add {_net(cn)} via {home}")
        _ip(self.namespace("ha-b"), f"route add default via {backend}")
        _ip(self.namespace("cn"), f"route add default via {cn}")
        _ip(
            self.namespace("router"),
            f"route add {ROAMING_PREFIX} via {MOBILE_NODE_PLAIN}",
            f"route add {_net(visited)} via {HOME_AGENT_ON_HOME_LINK} table {_DETOUR}",
            f"rule add iif cn lookup {_DETOUR}",
            f"route add {_net(cn)} via {HOME_AGENT} table {_DETOUR + 1}",
            f"rule add iif visited to {_net(cn)} lookup {_DETOUR + 1}",
        )

    def run(self, host: str, call: Callable[[], T]) -> T:
        """`call` with its sockets in the namespace of `host`."""
        return in_namespace(self.namespace(host), call)

    def command(self, host: str, *argv: str) -> list[str]:
        """The command line that runs argv in the namespace of `host`."""
        return ["ip", "netns", "exec", self.namespace(host), *argv]


def remove_left_over() -> None:
    """Namespaces of a bench that was killed: those whose process is gone."""
    for name in namespaces.names():
        owner = _NAME.match(name)
        if owner and not Path("/proc", owner[1]).exists():
            namespaces.remove(name)


def _net(address: str) -> str:
    """The /64 of an address written with `::` before its last group."""
    return address.rpartition("::")[0] + "::/64"


def _ip(namespace: str, *commands: str) -> None:
    subprocess.run(["ip", "-n", namespace, "-6", "-batch", "-"], input="\n".join(commands) + "\n", check=True, text=True)


def _sysctl(namespace: str, key: str, value: str) -> None:
    in_namespace(namespace, lambda: Path("/proc/sys/net/ipv6", key).write_text(value, encoding="ascii"))
