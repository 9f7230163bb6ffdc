"""The home agent's data plane: tunnels, proxy neighbours and guard together (interface.HomeAgentDataPlane)."""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.guard import HomeAgentGuard
from closedloop_nf.kernel.link_watch import LinkWatch
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.sysctl import set_sysctl
from closedloop_nf.kernel.template import Template
from closedloop_nf.kernel.too_big import TooBigRelay
from closedloop_nf.kernel.tunnel import Tunnel

_MEMORY_PATIENCE_S = 2.0
_MEMORY_PAUSE_S = 0.001


class KernelHomeAgent:
    """A home agent's kernel state in this network namespace. Single-threaded, synchronous."""

    def __init__(self, tunnel: Tunnel, routes: RouteTable, home_interface: str, uplink_interface: str) -> None:
        self._tunnel = tunnel
        self._routes = routes
        self._home_interface = home_interface
        self._uplink_interface = uplink_interface
        self._guard = HomeAgentGuard()
        self._relay: TooBigRelay | None = None
        self._watch: LinkWatch | None = None
        self._home: m.Link | None = None
        self._uplink: m.Link | None = None
        self._bindings: dict[bytes, bytes] = {}
        self._care_of_users: Counter[bytes] = Counter()
        self._defended: set[bytes] = set()
        self._lingering: set[bytes] = set()
        """Of the bindings, those without a proxy neighbour entry."""
        self._address: bytes | None = None
        self._address_link: m.Link | None = None
        self._encapsulating: Template | None = None
        self._nested = 0
        self._repairs = 0

    @property
    def name(self) -> str:
        return self._tunnel.name

    # --- life cycle ----------------------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        self._guard.seize()
        self._clean()
        self._guard.shut()
        self._forget()

    def open(self) -> None:
        self._home = self._routes.link(self._home_interface)
        self._uplink = self._routes.link(self._uplink_interface)
        self._guard.shut()
        set_sysctl(f"net/ipv6/conf/{self._home_interface}/proxy_ndp", 1)
        # The kernel delays proxy answers by a random time up to 0.8 s (RFC 4861 section 7.2.8, for several proxies of one target). A home
        # address has one home agent, and its failover should not wait.
        set_sysctl(f"net/ipv6/neigh/{self._home_interface}/proxy_delay", 0)
        set_sysctl("net/ipv6/conf/all/forwarding", 1)
        self._tunnel.open()
        self._relay = None if self._tunnel.relays_too_big else TooBigRelay(self._would_send)
        self._watch = LinkWatch((self._home, self._uplink), self._repair)

    def close(self) -> None:
        for source in (self._relay, self._watch):
            if source is not None:
                source.close()
        self._relay = self._watch = None
        self._guard.seize()
        self._clean()
        self._tunnel.close()
        self._guard.remove()
        self._forget()
        self._routes.close()

    def _clean(self) -> None:
        """Everything with our protocol number, whoever of us put it there."""
        self._routes.delete_all(self._routes.our_proxy_neighbours())
        self._routes.delete_all(self._routes.our_routes())
        self._routes.restore_rules()
        for found in self._routes.our_addresses():
            text = socket.inet_ntop(socket.AF_INET6, found.address)
            self._routes.delete(f"address {text}", m.address(found.address, found.prefix_length, found.index, delete=True))
        self._tunnel.reset()

    def _forget(self) -> None:
        self._bindings.clear()
        self._care_of_users.clear()
        self._defended.clear()
        self._lingering.clear()
        self._address = self._address_link = self._encapsulating = None
        self._nested = 0

    # --- the home agent's own address ----------------------------------------------------------------------------------------------------

    def set_home_agent_address(self, address: bytes, *, on_home_link: bool) -> None:
        home, uplink = self._links()
        if self._address is not None:
            self.clear_home_agent_address()
        link = home if on_home_link else uplink
        self._guard.serve(address, proxied=on_home_link)
        if on_home_link or not any(found.address == address for found in self._routes.addresses()):
            self._address_link = link
        self._tunnel.set_source(address)
        self._address = address
        self._encapsulating = None
        self._put_address()
        again = [row for row in self._bindings.items() if self._tunnel.source_in_routes or row[1] == address]
        if again:
            self._send_routes(again)

    def _put_address(self) -> None:
        """The kernel's side of the address: itself where it is ours to add, delivery of what is tunnelled to it, decapsulation."""
        if self._address is None:
            return
        _, uplink = self._links()
        text = socket.inet_ntop(socket.AF_INET6, self._address)
        if self._address_link is not None:
            added = m.address(self._address, 128, self._address_link.index, prefix_route=False)
            self._routes.add(f"address {text} on {self._address_link.name}", added)
        # A tunnelled packet for the home agent itself is looked up in the main table, which knows no local addresses.
        local = m.route(m.UPSERT, destination=self._address, kind=m.RTN_LOCAL, interface_index=uplink.index, metric=1)
        self._routes.add(f"local route {text}", local)
        self._tunnel.decapsulate(self._address, uplink, m.TABLE_MAIN)

    def _repair(self) -> None:
        """Put back what the kernel forgot while an interface was down."""
        home, _ = self._links()
        self._put_address()
        self._send_routes(self._bindings.items())
        self._send_proxies([*self._bindings.keys() - self._lingering, *self._defended], home)
        self._repairs += 1

    def clear_home_agent_address(self) -> None:
        if self._address is None:
            return
        text = socket.inet_ntop(socket.AF_INET6, self._address)
        self._tunnel.stop_decapsulating(self._address)
        if self._address_link is not None:
            self._routes.delete(f"address {text}", m.address(self._address, 128, self._address_link.index, delete=True))
        self._routes.delete(f"local route {text}", m.route(0, delete=True, destination=self._address, kind=m.RTN_LOCAL))
        self._guard.serve(None)
        self._address = self._address_link = self._encapsulating = None

    # --- bindings ------------------------------------------------------------------------------------------------------------------------

    def install(self, bindings: Iterable[tuple[bytes, bytes]]) -> None:
        home, _ = self._links()
        wanted = {address: care_of for address, care_of in bindings if self._bindings.get(address) != care_of or address in self._lingering}
        if not wanted:
            return
        self._guard.bind(wanted)
        new = [address for address in wanted if address not in self._bindings or address in self._lingering]
        self._lingering.difference_update(new)
        for address, care_of in wanted.items():
            self._forget_care_of(address)
            self._bindings[address] = care_of
            self._care_of_users[care_of] += 1
        self._send_routes(wanted.items())
        self._send_proxies(new, home)

    def defend(self, addresses: Iterable[bytes]) -> None:
        home, _ = self._links()
        new = [address for address in dict.fromkeys(addresses) if address not in self._bindings and address not in self._defended]
        self._guard.proxy(new)
        self._send_proxies(new, home)
        self._defended.update(new)

    def linger(self, home_addresses: Iterable[bytes]) -> None:
        home, _ = self._links()
        fresh = [address for address in dict.fromkeys(home_addresses) if address in self._bindings and address not in self._lingering]
        proxy = _proxy_neighbour(home.index, delete=True)
        self._routes.delete_all([proxy.fill(address) for address in fresh])
        self._guard.stop_proxying(fresh)
        self._lingering.update(fresh)

    def remove(self, home_addresses: Iterable[bytes]) -> None:
        home, _ = self._links()
        gone = dict.fromkeys(home_addresses)
        bound = [address for address in gone if address in self._bindings]
        proxied = [address for address in gone if address in self._bindings or address in self._defended]
        if not proxied:
            return
        proxy, route = _proxy_neighbour(home.index, delete=True), _route_deletion()
        self._routes.delete_all([proxy.fill(address) for address in proxied])
        self._routes.delete_all([route.fill(address) for address in bound])
        self._guard.release(proxied)
        self._defended.difference_update(proxied)
        self._lingering.difference_update(proxied)
        for address in bound:
            self._forget_care_of(address)
            del self._bindings[address]

    def _send_proxies(self, addresses: list[bytes], home: m.Link) -> None:
        proxy = _proxy_neighbour(home.index)
        self._send("proxy neighbour entry", [proxy.fill(address) for address in addresses], addresses)

    def _forget_care_of(self, address: bytes) -> None:
        previous = self._bindings.get(address)
        if previous is not None:
            self._care_of_users[previous] -= 1
            if not self._care_of_users[previous]:
                del self._care_of_users[previous]

    def _send_routes(self, bindings: Iterable[tuple[bytes, bytes]]) -> None:
        _, uplink = self._links()
        if self._encapsulating is None:
            first, second = Template.sentinels()
            self._encapsulating = Template(self._tunnel.route(first, second, uplink, table=m.TABLE_MAIN), 2)
        rows = list(bindings)
        encoded = []
        for address, care_of in rows:
            # Two mobile nodes that give each other's home address as care-of address would have the kernel encapsulate without end,
            # and one that gives the home agent's address would have it decapsulate again.
            if care_of in self._bindings or address in self._care_of_users or care_of == self._address:
                self._nested += 1
                encoded.append(m.route(m.UPSERT, destination=address, kind=m.RTN_UNREACHABLE))
            else:
                encoded.append(self._encapsulating.fill(address, care_of))
        self._send("tunnel route", encoded, [address for address, _ in rows])

    def _send(self, what: str, encoded: list[bytes], addresses: list[bytes]) -> None:
        # On an interface that is down the change cannot be made and is not lost: `_repair` makes it.
        failures = self._routes.netlink.batch(encoded, tolerate=(errno.ENETDOWN,))
        deadline = time.monotonic() + _MEMORY_PATIENCE_S
        # The kernel allocates a tunnel route's per-CPU cache atomically from a pool that it refills in the background: a burst outruns it.
        while failures and all(failure.code == errno.ENOMEM for failure in failures) and time.monotonic() < deadline:
            time.sleep(_MEMORY_PAUSE_S)
            refused = [failure.number for failure in failures]
            again = self._routes.netlink.batch([encoded[number] for number in refused], tolerate=(errno.ENETDOWN,))
            failures = [failure._replace(number=refused[failure.number]) for failure in again]
        if failures:
            first = failures[0]
            address = socket.inet_ntop(socket.AF_INET6, addresses[first.number])
            raise KernelError(first.code, f"{what} for {address} refused: {first.reason}; {len(failures)} of {len(encoded)} refused")

    def _links(self) -> tuple[m.Link, m.Link]:
        if self._home is None or self._uplink is None:
            raise KernelError(0, "the data plane is not open; call open() first")
        return self._home, self._uplink

    # --- lease ---------------------------------------------------------------------------------------------------------------------------

    def renew_lease(self, seconds: float) -> None:
        self._guard.renew(seconds)

    def revoke_lease(self) -> None:
        self._guard.revoke()

    # --- the shell's side ----------------------------------------------------------------------------------------------------------------

    def readers(self) -> Mapping[int, Callable[[], None]]:
        return {source.fileno(): source.on_readable for source in (self._relay, self._watch) if source is not None}

    def stats(self) -> dict[str, int]:
        relay = {} if self._relay is None else self._relay.counters
        return self._guard.counters() | relay | {"nested_bindings": self._nested, "link_repairs": self._repairs}

    def _would_send(self, outer_source: bytes, outer_destination: bytes, inner: bytes) -> bool:
        return outer_source == self._address and self._bindings.get(inner[24:40]) == outer_destination


@cache
def _proxy_neighbour(interface_index: int, *, delete: bool = False) -> Template:
    return Template(m.proxy_neighbour(Template.sentinels()[0], interface_index, delete=delete), 1)


@cache
def _route_deletion() -> Template:
    return Template(m.route(0, delete=True, destination=Template.sentinels()[0]), 1)
