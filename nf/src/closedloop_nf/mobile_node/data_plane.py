"""The core's wishes for the kernel, applied; what the kernel refuses is tried again while it is still wanted."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.interface import MobileNodeDataPlane
from closedloop_nf.mobile_node.actions import AtHome, Away, Bind, DropCareOfAddresses, Expect, Unbind

log = logging.getLogger("closedloop_nf.mobile_node")

RETRY_S = 0.2
"""A refusal comes from a link or an address that vanished while it was being used; the next event of that link usually comes sooner."""

Wish = Expect | Bind | Unbind | AtHome | Away


class DataPlaneKeeper:
    """Applies wishes in order. There are two kinds, where the home address sits and how the tunnel runs; the latest of each counts."""

    def __init__(self, plane: MobileNodeDataPlane, home_address: bytes, home_prefix_length: int, counters: Counter[str]) -> None:
        """counters: gets `data_plane_refused`."""
        self._plane = plane
        self._home = home_address
        self._home_prefix_length = home_prefix_length
        self._counters = counters
        self._retries: dict[str, asyncio.TimerHandle] = {}

    def apply(self, wish: Wish) -> None:
        """Change the kernel now, or as soon as it can be."""
        kind = "place" if isinstance(wish, AtHome | Away) else "tunnel"
        self._forget(kind)
        if isinstance(wish, AtHome):
            self._forget("tunnel")  # being at home ends the tunnel
        try:
            self._change(wish)
        except KernelError as error:
            self._counters["data_plane_refused"] += 1
            log.warning("the kernel refused a change", extra={"change": type(wish).__name__, "problem": str(error)})
            self._retries[kind] = asyncio.get_running_loop().call_later(RETRY_S, self.apply, wish)

    def drop(self, wish: DropCareOfAddresses) -> None:
        """Remove what a left link's advertisements made; what cannot be removed ages by itself."""
        try:
            self._plane.flush_care_of_addresses(wish.interface, wish.keep, wish.router)
        except KernelError as error:
            log.warning("old care-of addresses stay", extra={"interface": wish.interface, "problem": str(error)})

    def close(self) -> None:
        """Nothing is tried again; the plane itself is the owner's to close."""
        for kind in list(self._retries):
            self._forget(kind)

    def _forget(self, kind: str) -> None:
        retry = self._retries.pop(kind, None)
        if retry is not None:
            retry.cancel()

    def _change(self, wish: Wish) -> None:
        match wish:
            case Expect():
                self._plane.expect(self._home, wish.care_of_address, wish.home_agent, wish.interface)
            case Bind():
                self._plane.bind(self._home, wish.care_of_address, wish.home_agent, wish.interface)
            case Unbind():
                self._plane.unbind()
            case AtHome():
                self._plane.at_home(self._home, self._home_prefix_length, wish.interface, wish.router)
            case Away():
                self._plane.away(self._home)
