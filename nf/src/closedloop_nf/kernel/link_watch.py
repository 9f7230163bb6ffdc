"""Tells when an interface came up again, because the kernel forgets much when it goes down: routes, addresses, proxy neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyroute2.netlink import rtnl  # type: ignore[import-untyped] # it has no type hints

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.netlink import Events


class LinkWatch:
    """Carrier of a few interfaces of this network namespace, seen together."""

    def __init__(self, links: Iterable[m.Link], came_up: Callable[[], None]) -> None:
        """came_up: called from `on_readable` when all of them are up and one was not (or events were lost)."""
        self._up = {link.index: link.up for link in links}
        self._came_up = came_up
        self._events = Events(rtnl.RTMGRP_LINK, m.LINKS)

    def fileno(self) -> int:
        return self._events.fileno()

    def on_readable(self) -> None:
        again = False
        for event in self._events.read():
            if event is None:
                again = True  # events were lost; one of them may have been ours
            else:
                again |= event["header"]["type"] == rtnl.RTM_NEWLINK and self._rose(m.read_link(event))
        if again and all(self._up.values()):
            self._came_up()

    def _rose(self, link: m.Link) -> bool:
        before = self._up.get(link.index)
        if before is None:
            return False
        self._up[link.index] = link.up
        return link.up and not before

    def close(self) -> None:
        self._events.close()
