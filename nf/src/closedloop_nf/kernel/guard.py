"""The home agent's guard: forwarding and proxy neighbour advertisements only under a living lease, decapsulation only for bound pairs.

Two tables (docs/architecture.md, "Who owns a home address", point 3):

`closedloop_lease` is owned by this process and vanishes with it. While its lease element lives it marks packets (LEASE_MARK). It also marks
reverse tunnelled packets whose (outer source . inner source) is a bound (care-of . home) pair (TUNNEL_MARK) and drops the others
(RFC 6275 section 10.4.5). Only marked packets are decapsulated. The elements of `bound` count what mobile nodes send, those of `served`
what is sent to them (node_traffic.py reads both).

`closedloop` stays and fails closed: without LEASE_MARK nothing is forwarded and no neighbour advertisement for a proxied address leaves;
what comes out of the tunnel device without TUNNEL_MARK is dropped, and both marks end there, so that what a tunnelled packet holds is
judged like any other that comes in.
It also silences the Parameter Problem the kernel would answer to a Home Address option (code 2), which it does not know without IPV6_MIP6.

nft 1.0 aborts when it lists a rule with `meta l4proto` and a raw payload match in a concatenation; therefore the jumps.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from closedloop_nf.kernel.errors import DuplicateInstanceError
from closedloop_nf.kernel.nftables import Nftables, NftError

LEASE_MARK = 0x40000000
"""Bit in the packet mark: came in under a living lease."""
TUNNEL_MARK = 0x20000000
"""Bit in the packet mark: a tunnelled packet that may be decapsulated."""
TUNNEL_DEVICE = "cltunnel"
"""The device of the data plane `ip6tnl`; the other has none."""

PERMITTED_OUT_OF_DEVICE = f"""
add counter ip6 {{table}} tunnel_elsewhere
add chain ip6 {{table}} decapsulated {{{{ type filter hook prerouting priority -151; }}}}
add rule ip6 {{table}} decapsulated iifname "{TUNNEL_DEVICE}" meta mark & {TUNNEL_MARK:#x} == 0 counter name tunnel_elsewhere drop
add rule ip6 {{table}} decapsulated iifname "{TUNNEL_DEVICE}" meta mark set meta mark and {0xFFFFFFFF & ~(LEASE_MARK | TUNNEL_MARK):#x}
"""
"""For a table that stays (`format` with its name). The device decapsulates for every local address, the mark tells what may."""

_TUNNEL_COUNTERS = ("tunnel_unbound", "tunnel_malformed", "tunnel_fragment", "tunnel_inner_destination")
_GUARD_COUNTERS = ("forward_without_lease", "advertisement_without_lease", "parameter_problem_suppressed")

_LEASE_TABLE = f"""
add set ip6 closedloop_lease lease {{ type ether_type; flags timeout; }}
add set ip6 closedloop_lease bound {{ typeof ip6 saddr . @nh,384,128; counter; }}
add set ip6 closedloop_lease served {{ type ipv6_addr; counter; }}
add set ip6 closedloop_lease home_agent {{ type ipv6_addr; }}
{"".join(f"add counter ip6 closedloop_lease {name}{chr(10)}" for name in _TUNNEL_COUNTERS)}
add chain ip6 closedloop_lease permitted
add rule ip6 closedloop_lease permitted @th,192,8 0xff counter name tunnel_inner_destination drop
add rule ip6 closedloop_lease permitted @th,192,16 & 0xffc0 == 0xfe80 counter name tunnel_inner_destination drop
add rule ip6 closedloop_lease permitted meta mark set meta mark or {TUNNEL_MARK:#x} accept
add chain ip6 closedloop_lease tunnelled
add rule ip6 closedloop_lease tunnelled exthdr frag exists counter name tunnel_fragment drop
add rule ip6 closedloop_lease tunnelled @th,0,8 & 0xf0 != 0x60 counter name tunnel_malformed drop
add rule ip6 closedloop_lease tunnelled ip6 saddr . @th,64,128 @bound jump permitted
add rule ip6 closedloop_lease tunnelled counter name tunnel_unbound drop
add chain ip6 closedloop_lease incoming {{ type filter hook prerouting priority -150; }}
add rule ip6 closedloop_lease incoming meta protocol @lease meta mark set meta mark or {LEASE_MARK:#x}
add rule ip6 closedloop_lease incoming ip6 daddr @home_agent meta l4proto ipv6 jump tunnelled
add rule ip6 closedloop_lease incoming ip6 daddr @served
add chain ip6 closedloop_lease outgoing {{ type filter hook output priority -150; }}
add rule ip6 closedloop_lease outgoing icmpv6 type nd-neighbor-advert meta protocol @lease meta mark set meta mark or {LEASE_MARK:#x}
"""

_SEIZE = "add table ip6 closedloop_lease { flags owner; }\n"

_GUARD_TABLE = f"""
add table ip6 closedloop
delete table ip6 closedloop
add table ip6 closedloop
add set ip6 closedloop proxied {{ typeof @nh,384,128; }}
{"".join(f"add counter ip6 closedloop {name}{chr(10)}" for name in _GUARD_COUNTERS)}
add chain ip6 closedloop onward {{ type filter hook forward priority 0; }}
add rule ip6 closedloop onward meta mark & {LEASE_MARK:#x} == 0 counter name forward_without_lease drop
add chain ip6 closedloop advertisement
add rule ip6 closedloop advertisement @th,64,128 @proxied counter name advertisement_without_lease drop
add chain ip6 closedloop outgoing {{ type filter hook output priority 0; }}
add rule ip6 closedloop outgoing icmpv6 type nd-neighbor-advert meta mark & {LEASE_MARK:#x} == 0 jump advertisement
add rule ip6 closedloop outgoing icmpv6 type parameter-problem icmpv6 code 2 @th,112,8 60 counter name parameter_problem_suppressed drop
{PERMITTED_OUT_OF_DEVICE.format(table="closedloop")}"""


class HomeAgentGuard:
    """Owner of both tables. `seize` makes this process the only one that serves in the namespace; `shut` begins anew."""

    def __init__(self) -> None:
        self._nft: Nftables | None = None
        self._bound: dict[bytes, bytes] = {}
        self._proxied: set[bytes] = set()
        self._home_agent: bytes | None = None

    @property
    def nft(self) -> Nftables:
        if self._nft is None:
            self._nft = Nftables()
        return self._nft

    def seize(self) -> None:
        """No lease any more, here or in a predecessor's table. Raises DuplicateInstanceError while another process owns the lease table.

        The other table stays: it holds back neighbour advertisements for the addresses and proxy entries a predecessor left in the kernel.
        """
        with _ownership_named():
            self.nft.run(_SEIZE)
            self.nft.run(f"delete table ip6 closedloop_lease\n{_SEIZE}")
        try:
            self.nft.run("list counter ip6 closedloop advertisement_without_lease")
        except NftError as error:
            if not error.missing:
                raise
            self.shut()  # nobody was here before

    def shut(self) -> None:
        """Both tables fresh and empty: nothing is forwarded. Raises DuplicateInstanceError as `seize` does.

        Nothing is held back any more, so what is advertised only under a lease has to be out of the kernel before.
        """
        with _ownership_named():
            self.nft.run(_SEIZE)
            self.nft.run(f"{_GUARD_TABLE}delete table ip6 closedloop_lease\n{_SEIZE}{_LEASE_TABLE}")
        self._bound.clear()
        self._proxied.clear()
        self._home_agent = None

    def serve(self, address: bytes | None, *, proxied: bool = False) -> None:
        """Accept tunnels at `address`, and at no other. proxied: neighbour advertisements for it need the lease too."""
        commands = ["flush set ip6 closedloop_lease home_agent"]
        if address is not None:
            commands.append(f"add element ip6 closedloop_lease home_agent {{ {_text(address)} }}")
        if self._home_agent is not None and self._home_agent in self._proxied:
            commands.append(f"delete element ip6 closedloop proxied {{ {_raw(self._home_agent)} }}")
            self._proxied.discard(self._home_agent)
        if address is not None and proxied:
            commands.append(f"add element ip6 closedloop proxied {{ {_raw(address)} }}")
            self._proxied.add(address)
        self.nft.run("\n".join(commands))
        self._home_agent = address

    def bind(self, pairs: dict[bytes, bytes]) -> None:
        """Accept from the (home address -> care-of address) pairs, no longer from the care-of addresses these had. One transaction."""
        stale = {home: self._bound[home] for home, care_of in pairs.items() if self._bound.get(home, care_of) != care_of}
        fresh = {home: care_of for home, care_of in pairs.items() if self._bound.get(home) != care_of}
        unknown = [home for home in pairs if home not in self._proxied]
        unserved = [home for home in fresh if home not in self._bound]
        self._apply(
            _elements("delete", "closedloop_lease bound", map(_pair, stale.items())),
            _elements("add", "closedloop_lease bound", map(_pair, fresh.items())),
            _elements("add", "closedloop_lease served", map(_text, unserved)),
            _elements("add", "closedloop proxied", map(_raw, unknown)),
        )
        self._bound.update(fresh)
        self._proxied.update(unknown)

    def proxy(self, addresses: Iterable[bytes]) -> None:
        """Neighbour advertisements for these leave only under the lease. To be called before there are any."""
        unknown = set(addresses) - self._proxied
        self._apply(_elements("add", "closedloop proxied", map(_raw, unknown)))
        self._proxied |= unknown

    def stop_proxying(self, addresses: Iterable[bytes]) -> None:
        """Go on accepting from these; they are not advertised any more. To be called after their proxy neighbour entries are gone."""
        known = self._proxied.intersection(addresses)
        self._apply(_elements("delete", "closedloop proxied", map(_raw, known)))
        self._proxied -= known

    def release(self, addresses: Iterable[bytes]) -> None:
        """Accept nothing from these any more. To be called after their proxy neighbour entries are gone."""
        released = set(addresses)
        proxied = self._proxied & released
        bound = {home: self._bound[home] for home in released if home in self._bound}
        self._apply(
            _elements("delete", "closedloop_lease bound", map(_pair, bound.items())),
            _elements("delete", "closedloop_lease served", map(_text, bound)),
            _elements("delete", "closedloop proxied", map(_raw, proxied)),
        )
        for home in bound:
            del self._bound[home]
        self._proxied -= proxied

    def renew(self, seconds: float) -> None:
        """The lease ends `seconds` from now. Flush and add in one transaction: kernels before 6.11 cannot change an element's timeout."""
        milliseconds = int(seconds * 1000)
        if milliseconds <= 0:
            self.revoke()
            return
        self.nft.run(f"flush set ip6 closedloop_lease lease\nadd element ip6 closedloop_lease lease {{ ip6 timeout {milliseconds}ms }}")

    def revoke(self) -> None:
        """The lease ends now."""
        self.nft.run("flush set ip6 closedloop_lease lease")

    def counters(self) -> dict[str, int]:
        """Packets per named counter of both tables."""
        return read_counters(self.nft, "closedloop_lease") | read_counters(self.nft, "closedloop")

    def remove(self) -> None:
        """Remove both tables and give up ownership."""
        if self._nft is None:
            return
        self._nft.run("add table ip6 closedloop\ndelete table ip6 closedloop")
        self._nft.close()
        self._nft = None

    def _apply(self, *commands: str) -> None:
        joined = "\n".join(command for command in commands if command)
        if joined:
            self.nft.run(joined)


@contextmanager
def _ownership_named() -> Iterator[None]:
    """Tell a table that another process owns from other refusals."""
    try:
        yield
    except NftError as error:
        if not error.permission:
            raise
        raise DuplicateInstanceError(
            1,
            "the nftables table ip6 closedloop_lease cannot be made: another home agent process owns it in this network namespace"
            " (stop that one first), or CAP_NET_ADMIN is missing",
        ) from error


def read_counters(nft: Nftables, table: str) -> dict[str, int]:
    """Named counters of an ip6 table: name -> packets."""
    listed = json.loads(nft.run_json(f"list counters table ip6 {table}"))
    return {item["counter"]["name"]: item["counter"]["packets"] for item in listed["nftables"] if "counter" in item}


def _elements(verb: str, which: str, elements: Iterable[str]) -> str:
    joined = ", ".join(elements)
    return f"{verb} element ip6 {which} {{ {joined} }}" if joined else ""


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, address)


def _raw(address: bytes) -> str:
    """As raw payload matches want it."""
    return "0x" + address.hex()


def _pair(item: tuple[bytes, bytes]) -> str:
    """(home address, care-of address) as an element of `bound`."""
    return f"{_text(item[1])} . {_raw(item[0])}"
