"""The mobile node's data plane: one home address, one tunnel in force (interface.MobileNodeDataPlane)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.node_guard import Expected, MobileNodeGuard
from closedloop_nf.kernel.route_table import RouteTable
from closedloop_nf.kernel.too_big import TooBigRelay
from closedloop_nf.kernel.tunnel import Tunnel

FORMER_S = 6.0
"""How long tunnelled packets of home agents before the present one are still accepted: longer than that forwards on (LINGER_S of
ha_pp/ownership.py), which begins before the new one's acknowledgement, and as long as packets may be under way."""
_RULE_PRIORITY = 1000
"""Before the main table (32766), after the local one."""


class KernelMobileNode:
    """A mobile node's kernel state in this network namespace. Single-threaded, synchronous."""

    def __init__(self, tunnel: Tunnel, routes: RouteTable) -> None:
        self._tunnel = tunnel
        self._routes = routes
        self._guard = MobileNodeGuard()
        self._relay: TooBigRelay | None = None
        self._bound: Expected | None = None
        self._decapsulating: set[bytes] = set()
        """Care-of addresses with a decapsulation route."""
        self._home_address: bytes | None = None
        self._ruled: bytes | None = None

    @property
    def name(self) -> str:
        return self._tunnel.name

    # --- life cycle ----------------------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        self._guard.shut()
        self._clean()

    def open(self) -> None:
        self._guard.shut()
        self._tunnel.open()
        self._relay = None if self._tunnel.relays_too_big else TooBigRelay(self._would_send)

    def close(self) -> None:
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        self._clean()
        self._tunnel.close()
        self._guard.remove()
        self._routes.close()

    def _clean(self) -> None:
        self._routes.delete_all(self._routes.our_routes())
        self._routes.restore_rules()
        self._tunnel.reset()
        self._bound = self._ruled = None
        self._decapsulating.clear()

    # --- tunnel --------------------------------------------------------------------------------------------------------------------------

    def expect(self, home_address: bytes, care_of_address: bytes, home_agent: bytes, interface: str) -> None:
        tunnels = {(home_agent, care_of_address, home_address)}
        if self._bound is not None:
            tunnels.add(self._bound)
        self._guard.expect(tunnels, FORMER_S)
        self._decapsulate(care_of_address, self._routes.link(interface))

    def bind(self, home_address: bytes, care_of_address: bytes, home_agent: bytes, interface: str) -> None:
        link = self._routes.link(interface)
        # Receiving first: the home agent's packets may be on their way, and seg6's new source waits for an RCU grace period of some 10 ms.
        self._decapsulate(care_of_address, link)
        self._bound = (home_agent, care_of_address, home_address)
        self._guard.expect({self._bound}, FORMER_S)
        self._tunnel.set_source(care_of_address)
        self._routes.add("tunnel route", self._tunnel.route(None, home_agent, link, table=m.TABLE_TUNNEL))
        self._rule(home_address)
        self._stop_decapsulating(self._decapsulating - {care_of_address})

    def unbind(self) -> None:
        self._bound = None
        self._guard.expect(())
        self._stop_decapsulating(set(self._decapsulating))
        self._routes.delete("tunnel route", m.route(0, delete=True, table=m.TABLE_TUNNEL))

    def _decapsulate(self, care_of_address: bytes, link: m.Link) -> None:
        self._tunnel.decapsulate(care_of_address, link, m.TABLE_LOCAL)
        self._decapsulating.add(care_of_address)

    def _stop_decapsulating(self, addresses: set[bytes]) -> None:
        for address in addresses:
            self._tunnel.stop_decapsulating(address)
        self._decapsulating -= addresses

    def _rule(self, home_address: bytes | None) -> None:
        """Traffic from the home address looks into the tunnel table, which ends in `unreachable`: it never leaves untunnelled."""
        if home_address == self._ruled:
            return
        if self._ruled is not None:
            self._routes.delete("home address rule", m.rule(_RULE_PRIORITY, m.TABLE_TUNNEL, delete=True, source=self._ruled))
        if home_address is not None:
            last_resort = m.route(m.UPSERT, table=m.TABLE_TUNNEL, kind=m.RTN_UNREACHABLE, metric=0xFFFFFFF0)
            self._routes.add("unreachable route", last_resort)
            self._routes.add("home address rule", m.rule(_RULE_PRIORITY, m.TABLE_TUNNEL, source=home_address))
        self._ruled = home_address

    # --- where the home address sits -----------------------------------------------------------------------------------------------------

    def at_home(self, home_address: bytes, prefix_length: int, interface: str, router: bytes | None) -> None:
        link = self._routes.link(interface)
        text = socket.inet_ntop(socket.AF_INET6, home_address)
        self._routes.add(f"address {text} on {interface}", m.address(home_address, prefix_length, link.index))
        self._leave(home_address, keep=link.index)
        if router is not None:
            self._routes.add("home default route", m.route(m.UPSERT, interface_index=link.index, gateway=router, metric=_RULE_PRIORITY))
        self._rule(None)
        self.unbind()
        self._home_address = home_address

    def away(self, home_address: bytes) -> None:
        loopback = self._routes.link("lo").index
        text = socket.inet_ntop(socket.AF_INET6, home_address)
        self._routes.add(f"address {text} on lo", m.address(home_address, 128, loopback))
        self._rule(home_address)
        self._leave(home_address, keep=loopback)
        self._routes.delete("home default route", m.route(0, delete=True, metric=_RULE_PRIORITY))
        self._home_address = home_address

    def _leave(self, home_address: bytes, *, keep: int) -> None:
        """Remove the home address from every interface but one. It is on two for a moment, so that no connection notices."""
        for found in self._routes.addresses():
            if found.address == home_address and found.index != keep:
                self._routes.delete("home address", m.address(home_address, found.prefix_length, found.index, delete=True))

    def flush_care_of_addresses(self, interface: str, keep: Iterable[bytes], router: bytes | None = None) -> list[bytes]:
        index = self._routes.link(interface).index
        kept = {*keep, self._home_address}
        present = [found for found in self._routes.addresses() if found.index == index]
        gone = [found for found in present if m.made_by_slaac(found) and found.address not in kept]
        for found in gone:
            text = socket.inet_ntop(socket.AF_INET6, found.address)
            self._routes.delete(f"address {text}", m.address(found.address, found.prefix_length, index, delete=True))
        remaining = [found.address for found in present if found not in gone]
        self._routes.delete_all(self._routes.advertised_routes(index, remaining, router))
        return [found.address for found in gone]

    # --- the shell's side ----------------------------------------------------------------------------------------------------------------

    def readers(self) -> Mapping[int, Callable[[], None]]:
        return {} if self._relay is None else {self._relay.fileno(): self._relay.on_readable}

    def stats(self) -> dict[str, int]:
        relay = {} if self._relay is None else self._relay.counters
        return self._guard.counters() | relay

    def _would_send(self, outer_source: bytes, outer_destination: bytes, inner: bytes) -> bool:
        return self._bound is not None and (outer_destination, outer_source, inner[8:24]) == self._bound
