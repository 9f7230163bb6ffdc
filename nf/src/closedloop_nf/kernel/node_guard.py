"""The mobile node's packet filter: which tunnelled packets may be decapsulated (RFC 6275 section 11.3.1).

It also silences the Parameter Problem (code 0) that the kernel would answer to a type 2 routing header, unknown to it without IPV6_MIP6.

The table is not owned by the process: a killed mobile node keeps its tunnel until its successor's `reset`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

from closedloop_nf.kernel.guard import PERMITTED_OUT_OF_DEVICE, TUNNEL_MARK, read_counters
from closedloop_nf.kernel.nftables import Nftables

_COUNTERS = ("tunnel_unexpected", "tunnel_malformed", "tunnel_fragment", "parameter_problem_suppressed")

_TABLE = f"""
add table ip6 closedloop_node
delete table ip6 closedloop_node
add table ip6 closedloop_node
add set ip6 closedloop_node expected {{ typeof ip6 saddr . ip6 daddr . @nh,384,128; }}
add set ip6 closedloop_node former {{ typeof ip6 saddr . ip6 daddr . @nh,384,128; flags timeout; }}
add set ip6 closedloop_node care_of {{ type ipv6_addr; }}
{"".join(f"add counter ip6 closedloop_node {name}{chr(10)}" for name in _COUNTERS)}
add chain ip6 closedloop_node tunnelled
add rule ip6 closedloop_node tunnelled exthdr frag exists counter name tunnel_fragment drop
add rule ip6 closedloop_node tunnelled @th,0,8 & 0xf0 != 0x60 counter name tunnel_malformed drop
add chain ip6 closedloop_node permitted
add rule ip6 closedloop_node permitted meta mark set meta mark or {TUNNEL_MARK:#x} accept
add rule ip6 closedloop_node tunnelled ip6 saddr . ip6 daddr . @th,192,128 @expected jump permitted
add rule ip6 closedloop_node tunnelled ip6 saddr . ip6 daddr . @th,192,128 @former jump permitted
add rule ip6 closedloop_node tunnelled counter name tunnel_unexpected drop
add chain ip6 closedloop_node incoming {{ type filter hook prerouting priority -150; }}
add rule ip6 closedloop_node incoming ip6 daddr @care_of meta l4proto ipv6 jump tunnelled
add chain ip6 closedloop_node outgoing {{ type filter hook output priority 0; }}
add rule ip6 closedloop_node outgoing icmpv6 type 4 icmpv6 code 0 @th,112,8 43 counter name parameter_problem_suppressed drop
{PERMITTED_OUT_OF_DEVICE.format(table="closedloop_node")}"""

Expected = tuple[bytes, bytes, bytes]
"""(home agent, care-of address, home address): outer source, outer destination, inner destination."""


class MobileNodeGuard:
    """Owner of the table `closedloop_node`."""

    def __init__(self) -> None:
        self._nft: Nftables | None = None
        self._expected: set[Expected] = set()
        self._former: dict[Expected, float] = {}
        """Expected before, and until when (monotonic seconds) they are still accepted."""

    @property
    def nft(self) -> Nftables:
        if self._nft is None:
            self._nft = Nftables()
        return self._nft

    def shut(self) -> None:
        """The table fresh: nothing is decapsulated."""
        self.nft.run(_TABLE)
        self._expected, self._former = set(), {}

    def expect(self, tunnels: Iterable[Expected], former_s: float = 0.0) -> None:
        """Accept these, and for `former_s` those that were expected before; with 0 exactly these.

        One transaction, so a packet meets either the old or the new sets.
        """
        wanted, now = set(tunnels), time.monotonic()
        former = {**self._former, **dict.fromkeys(self._expected, now + former_s)} if former_s else {}
        self._former = {tunnel: end for tunnel, end in former.items() if end > now and tunnel not in wanted}
        self._expected = wanted
        commands = [f"flush set ip6 closedloop_node {name}" for name in ("expected", "former", "care_of")]
        commands += [
            f"add element ip6 closedloop_node former {{ {_element(tunnel)} timeout {max(1, int((end - now) * 1000))}ms }}"
            for tunnel, end in self._former.items()
        ]
        if wanted:
            elements = ", ".join(map(_element, wanted))
            addresses = ", ".join(sorted({_text(care_of) for _, care_of, _ in wanted}))
            commands.append(f"add element ip6 closedloop_node expected {{ {elements} }}")
            commands.append(f"add element ip6 closedloop_node care_of {{ {addresses} }}")
        self.nft.run("\n".join(commands))

    def counters(self) -> dict[str, int]:
        return read_counters(self.nft, "closedloop_node")

    def remove(self) -> None:
        if self._nft is not None:
            self._nft.run("add table ip6 closedloop_node\ndelete table ip6 closedloop_node")
            self._nft.close()
            self._nft = None


def _element(tunnel: Expected) -> str:
    agent, care_of, home = tunnel
    return f"{_text(agent)} . {_text(care_of)} . 0x{home.hex()}"


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, address)
