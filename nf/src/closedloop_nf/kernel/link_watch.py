"""Tells when an interface came up again, because the kernel forgets much when it goes down: routes, addresses, proxy neighbours."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable

from closedloop_nf.kernel import messages as m
from closedloop_nf.kernel.netlink import split_messages

_RTMGRP_LINK = 0x1


class LinkWatch:
    """Carrier of a few interfaces of this network namespace, seen together."""

    def __init__(self, links: Iterable[m.Link], came_up: Callable[[], None]) -> None:
        """came_up: called from `on_readable` when all of them are up and one was not (or events were lost)."""
        self._up = {link.index: link.up for link in links}
        self._came_up = came_up
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_LINK))

    def fileno(self) -> int:
        return self._socket.fileno()

    def on_readable(self) -> None:
        again = False
        while True:
            try:
                datagram = self._socket.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                again = True  # events were lost; one of them may have been ours
                continue
            for kind, _, _, payload in split_messages(datagram):
                again |= kind == m.RTM_NEWLINK and self._rose(m.parse_link(payload))
        if again and all(self._up.values()):
            self._came_up()

    def _rose(self, link: m.Link) -> bool:
        before = self._up.get(link.index)
        if before is None:
            return False
        self._up[link.index] = link.up
        return link.up and not before

    def close(self) -> None:
        self._socket.close()
