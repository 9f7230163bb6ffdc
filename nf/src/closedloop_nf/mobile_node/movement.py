"""Movement detection (RFC 6275 section 11.5): where is this node, and by which router.

Signals: carrier, router advertisements, addresses that the kernel made by SLAAC. The rules:
- Carrier comes: solicit a router at once. Carrier goes: routers and addresses of the link are forgotten.
- An advertisement from a router not heard on the link before, or with none of the prefixes that router had, is movement: that router is
  followed at once ("eager cell switching"). Advertisements of a router already heard change nothing, so two routers on one link cause no
  ping-pong.
- An address counts as long as its valid lifetime leaves a binding of one unit.
- A router whose Advertisement Interval (section 7.3) has passed `INTERVALS_LOST` times in silence, or whose lifetime has ended, is gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from closedloop_nf.mobile_node.actions import Action, DropCareOfAddresses, Emit, EventFields, SolicitRouter
from closedloop_nf.mobile_node.inputs import AddressChanged, RouterAdvertised
from closedloop_nf.mobile_node.settings import LIFETIME_UNIT_S, Settings
from closedloop_nf.runtime.addresses import Prefix
from closedloop_nf.runtime.clock import Instant

INTERVALS_LOST = 3
"""Missed advertisement intervals that mean the router is out of reach; section 7.3 leaves the number to the mobile node."""
MIN_SILENCE_S = 0.3
"""A router is not given up sooner: with intervals of 30 ms a scheduling hiccup would look like movement."""


class Attachment(NamedTuple):
    """A point of attachment that can be used: at home, or away with a care-of address."""

    interface: str
    router: bytes
    care_of_address: bytes
    """The home address when at home."""
    home: bool


@dataclass(slots=True)
class _Router:
    address: bytes
    prefixes: tuple[Prefix, ...]
    lost_at: float
    heard_at: float


@dataclass(slots=True)
class _Link:
    up: bool = False
    addresses: dict[bytes, AddressChanged] = field(default_factory=dict)
    """Usable global addresses that a binding can still be made of, oldest first."""
    routers: dict[bytes, _Router] = field(default_factory=dict)
    current: _Router | None = None
    solicit_at: float | None = None
    solicit_interval_s: float = 0.0


def _given_up_at(known: AddressChanged) -> float:
    """An address that has not one unit of a binding's lifetime left cannot be registered any more."""
    return math.inf if known.valid_until is None else known.valid_until - LIFETIME_UNIT_S


class Movement:
    """State of all links. Methods return actions; `attachment()` tells the result."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._links = {name: _Link() for name in settings.interfaces}

    def link_changed(self, interface: str, up: bool, now: Instant) -> list[Action]:
        link = self._links.get(interface)
        if link is None or link.up == up:
            return []
        link.up = up
        actions: list[Action] = []
        if up:
            actions += self._solicit(interface, link, now, first=True)
            actions.append(Emit(now, "link_up", {"interface": interface}))
        else:
            link.routers.clear()
            link.addresses = {address: known for address, known in link.addresses.items() if not known.slaac}
            link.current = None
            link.solicit_at = None
            actions.append(Emit(now, "link_down", {"interface": interface}))
            actions.append(DropCareOfAddresses(interface, (), None))
        return actions

    def address_changed(self, changed: AddressChanged, now: Instant) -> None:
        link = self._links.get(changed.interface)
        if link is None or changed.address == self._settings.home_address:
            return
        if not changed.usable or _given_up_at(changed) <= now.mono:
            link.addresses.pop(changed.address, None)
        elif link.up or not changed.slaac:
            link.addresses[changed.address] = changed

    def router_advertised(self, seen: RouterAdvertised, now: Instant) -> list[Action]:
        link = self._links.get(seen.interface)
        if link is None or not link.up:
            return []
        if seen.lifetime_s == 0:
            return self._router_lost(seen.interface, link, seen.router, now)
        silence = seen.lifetime_s if seen.interval_s is None else max(MIN_SILENCE_S, seen.interval_s * INTERVALS_LOST)
        known = link.routers.get(seen.router)
        if known is not None and (not seen.prefixes or any(prefix in known.prefixes for prefix in seen.prefixes)):
            known.heard_at = now.mono
            known.lost_at = now.mono + min(silence, seen.lifetime_s)
            if seen.prefixes:
                known.prefixes = seen.prefixes
            return []
        return self._new_router(seen, link, silence, now)

    def _new_router(self, seen: RouterAdvertised, link: _Link, silence: float, now: Instant) -> list[Action]:
        router = _Router(seen.router, seen.prefixes, now.mono + min(silence, seen.lifetime_s), now.mono)
        link.routers[seen.router] = router
        link.current = router
        link.solicit_at = None
        prefix = seen.prefixes[0] if seen.prefixes else None
        fields: EventFields = {"interface": seen.interface, "router": seen.router, "prefix": None if prefix is None else str(prefix)}
        return [Emit(now, "ra_received", fields)]

    def tick(self, now: Instant) -> list[Action]:
        actions: list[Action] = []
        for name, link in self._links.items():
            for address in [address for address, known in link.addresses.items() if _given_up_at(known) <= now.mono]:
                del link.addresses[address]
            for router in [router for router in link.routers.values() if router.lost_at <= now.mono]:
                actions += self._router_lost(name, link, router.address, now)
            if link.solicit_at is not None and link.solicit_at <= now.mono:
                actions += self._solicit(name, link, now, first=False)
        return actions

    def deadline(self) -> float | None:
        times = [router.lost_at for link in self._links.values() for router in link.routers.values()]
        times += [link.solicit_at for link in self._links.values() if link.solicit_at is not None]
        times += [
            _given_up_at(known) for link in self._links.values() for known in link.addresses.values() if known.valid_until is not None
        ]
        return min(times, default=None)

    def attachment(self) -> Attachment | None:
        """The place to be registered: the first interface with a router and an address of that router's prefixes."""
        for name, link in self._links.items():
            router = link.current
            if not link.up or router is None:
                continue
            if self._settings.home_prefix in router.prefixes:
                return Attachment(name, router.address, self._settings.home_address, True)
            for address in link.addresses:
                if any(prefix.contains(address) for prefix in router.prefixes):
                    return Attachment(name, router.address, address, False)
        return None

    def any_link_up(self) -> bool:
        return any(link.up for link in self._links.values())

    def has(self, place: Attachment) -> bool:
        """Whether a place that was registered from has its address still."""
        return place.home or place.care_of_address in self._links[place.interface].addresses

    def valid_until(self, place: Attachment) -> float | None:
        """Monotonic end of its address's valid lifetime, None without one."""
        known = self._links[place.interface].addresses.get(place.care_of_address)
        return None if known is None else known.valid_until

    def forget_others(self, place: Attachment) -> list[Action]:
        """After a move: other links' addresses on the interface of `place` go, and the default routes by other routers.

        A router that is alive on the same link after all brings its own back with its next advertisement.
        """
        link = self._links[place.interface]
        router = link.routers[place.router]
        keep = tuple(address for address in link.addresses if any(prefix.contains(address) for prefix in router.prefixes))
        if len(keep) == len(link.addresses) and len(link.routers) == 1:
            return []
        link.addresses = {address: known for address, known in link.addresses.items() if address in keep or not known.slaac}
        return [DropCareOfAddresses(place.interface, keep, place.router)]

    def _router_lost(self, interface: str, link: _Link, address: bytes, now: Instant) -> list[Action]:
        if link.routers.pop(address, None) is None:
            return []
        actions: list[Action] = [Emit(now, "router_lost", {"interface": interface, "router": address})]
        if link.current is not None and link.current.address == address:
            link.current = max(link.routers.values(), key=lambda router: router.heard_at, default=None)
            actions += self._solicit(interface, link, now, first=True)
        return actions

    def _solicit(self, interface: str, link: _Link, now: Instant, *, first: bool) -> list[Action]:
        timers = self._settings.timers
        interval = timers.router_solicitation_interval_s
        if not first:
            interval = min(link.solicit_interval_s * 2, timers.max_router_solicitation_interval_s)
        link.solicit_interval_s = interval
        link.solicit_at = now.mono + interval if link.current is None else None
        return [SolicitRouter(interface), Emit(now, "rs_sent", {"interface": interface})]
