"""The namespace's rtnetlink state as the data plane uses it: one socket, look-ups by name, and removal of everything that is ours."""

from __future__ import annotations

import errno

from pyroute2.netlink import rtnl  # type: ignore[import-untyped] # it has no type hints

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.netlink import Netlink

_GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""The kernel's ways to say that what should be deleted does not exist."""


class RouteTable:
    """Opens its socket on first use."""

    def __init__(self) -> None:
        self._netlink: Netlink | None = None

    def open(self) -> None:
        """Open the socket now, in the calling thread's network namespace."""
        if self._netlink is None:
            self._netlink = Netlink()

    @property
    def netlink(self) -> Netlink:
        if self._netlink is None:
            self._netlink = Netlink()
        return self._netlink

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def add(self, what: str, message: bytes) -> None:
        """Apply one change; an identical object that is there already is no error."""
        self.netlink.request(what, message, tolerate=(errno.EEXIST,))

    def delete(self, what: str, message: bytes) -> None:
        """Delete one object; one that is gone already is no error."""
        self.netlink.request(what, message, tolerate=_GONE)

    def delete_all(self, messages: list[bytes]) -> None:
        """Delete many. Raises KernelError with the first failure that is not absence."""
        failures = self.netlink.batch(messages, tolerate=_GONE)
        if failures:
            raise KernelError(failures[0].code, f"{len(failures)} of {len(messages)} deletions refused, first: {failures[0].reason}")

    def link(self, interface: str) -> m.Link:
        """The interface of that name. Raises KernelError that names it."""
        for found in self.links():
            if found.name == interface:
                return found
        raise KernelError(
            errno.ENODEV, f"interface {interface!r} does not exist in this network namespace; create it or correct the configuration"
        )

    def has_link(self, interface: str) -> bool:
        """Whether there is an interface of that name."""
        return any(found.name == interface for found in self.links())

    def links(self) -> list[m.Link]:
        """All interfaces of the namespace."""
        return [m.read_link(found) for found in self.netlink.dump(m.LINK_DUMP)]

    def addresses(self) -> list[m.InterfaceAddress]:
        """All IPv6 addresses of the namespace."""
        return [m.read_address(found) for found in self.netlink.dump(m.ADDRESS_DUMP)]

    def rules(self) -> list[m.Rule]:
        """All IPv6 routing rules."""
        return [m.read_rule(found) for found in self.netlink.dump(m.RULE_DUMP)]

    def our_routes(self) -> list[bytes]:
        """Deletions of every route with our protocol number, in whatever table."""
        found = self.netlink.dump(m.ROUTE_HEADER_DUMP)
        return [m.deletion(route, rtnl.RTM_DELROUTE) for route in found if route["proto"] == m.PROTOCOL]

    def advertised_routes(self, interface_index: int, addresses: list[bytes], router: bytes | None) -> list[bytes]:
        """Deletions of the routes that router advertisements made on an interface: default routes except by `router`, and on-link routes
        whose prefix holds none of `addresses`."""
        deletions = []
        for route in self.netlink.dump(m.ROUTE_DUMP):
            found = m.read_advertised_route(route)
            if found is None or found.index != interface_index:
                continue
            wanted = any(found.covers(address) for address in addresses) if found.gateway is None else found.gateway == router
            if not wanted:
                deletions.append(m.deletion(route, rtnl.RTM_DELROUTE))
        return deletions

    def our_proxy_neighbours(self) -> list[bytes]:
        """Deletions of every proxy neighbour with our protocol number."""
        found = self.netlink.dump(m.PROXY_NEIGHBOUR_DUMP)
        return [m.deletion(neighbour, rtnl.RTM_DELNEIGH) for neighbour in found if neighbour.get_attr("NDA_PROTOCOL") == m.PROTOCOL]

    def our_addresses(self) -> list[m.InterfaceAddress]:
        """Addresses that a data plane of ours added."""
        return [found for found in self.addresses() if found.protocol == m.PROTOCOL]

    # --- the rule that sends marked packets to decapsulation before the local table -----------------------------------------------------

    def insert_before_local(self, fwmark: int, table: int) -> None:
        """Marked packets look into `table` first, all others into the local table as ever.

        The kernel's rule for the local table has the smallest number there is, 0, and a new rule of that number goes behind it: so the
        local rule is doubled at 1, ours is put at 0, and the original is deleted. Some rule for the local table is there at every moment.
        """
        self.add("rule 1 lookup local", m.rule(1, m.TABLE_LOCAL, protocol=m.PROTOCOL))
        self.add(f"rule 0 fwmark {fwmark:#x} lookup {table}", m.rule(0, table, fwmark=fwmark))
        self.delete("rule 0 lookup local", m.rule(0, m.TABLE_LOCAL, delete=True))

    def restore_rules(self) -> None:
        """Remove our rules; the local table gets its own rule back first."""
        ours = [found for found in self.rules() if found.protocol == m.PROTOCOL]
        if not any(found.table == m.TABLE_LOCAL and found.priority == 0 for found in self.rules()):
            kernel = 2
            self.add("rule 0 lookup local", m.rule(0, m.TABLE_LOCAL, protocol=kernel))
        self.delete_all([m.rule(found.priority, found.table, delete=True, fwmark=found.fwmark, source=found.source) for found in ours])
