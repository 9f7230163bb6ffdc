"""Claims about changes that the kernel refuses: tried again while wanted, dropped when something else is."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.mobile_node.actions import AtHome, Away, Bind, DropCareOfAddresses, Unbind
from closedloop_nf.mobile_node.data_plane import DataPlaneKeeper

from tests.unit.nf.mobile_node.harness import AGENT, AGENT2, CARE_OF1, HOME, ROUTER1


class Plane:
    """Records calls; refuses those named in `refusing`."""

    name = "recorded"

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.refusing: set[str] = set()
        self.called = asyncio.Event()

    def _call(self, *call: object) -> None:
        if call[0] in self.refusing:
            raise KernelError(errno.ENODEV, "no such device")
        self.calls.append(call)
        self.called.set()

    def reset(self) -> None: ...

    def open(self) -> None: ...

    def expect(self, home_address: bytes, care_of_address: bytes, home_agent: bytes, interface: str) -> None:
        self._call("expect", home_agent)

    def bind(self, home_address: bytes, care_of_address: bytes, home_agent: bytes, interface: str) -> None:
        self._call("bind", home_agent)

    def unbind(self) -> None:
        self._call("unbind")

    def at_home(self, home_address: bytes, prefix_length: int, interface: str, router: bytes | None) -> None:
        self._call("at_home", prefix_length)

    def away(self, home_address: bytes) -> None:
        self._call("away")

    def flush_care_of_addresses(self, interface: str, keep: Iterable[bytes], router: bytes | None = None) -> list[bytes]:
        self._call("flush")
        return []

    def readers(self) -> Mapping[int, Callable[[], None]]:
        return {}

    def stats(self) -> dict[str, int]:
        return {}

    def close(self) -> None: ...


def bind(agent: bytes) -> Bind:
    return Bind(CARE_OF1, agent, "eth0")


async def until_calls(plane: Plane, count: int) -> None:
    async with asyncio.timeout(5):
        while len(plane.calls) < count:
            plane.called.clear()
            await plane.called.wait()


async def test_refused_change_is_tried_again_until_it_passes() -> None:
    plane, counters = Plane(), Counter[str]()
    keeper = DataPlaneKeeper(plane, HOME, 64, counters)
    plane.refusing = {"bind"}
    keeper.apply(bind(AGENT))
    assert counters["data_plane_refused"] == 1
    plane.refusing = set()
    await until_calls(plane, 1)
    assert plane.calls == [("bind", AGENT)]


async def test_refused_change_is_dropped_when_another_of_its_kind_is_wanted() -> None:
    plane = Plane()
    keeper = DataPlaneKeeper(plane, HOME, 64, Counter())
    plane.refusing = {"bind", "away"}
    keeper.apply(Away())
    keeper.apply(bind(AGENT))
    plane.refusing = set()
    keeper.apply(bind(AGENT2))
    await until_calls(plane, 2)
    await asyncio.sleep(0.25)
    assert plane.calls == [("bind", AGENT2), ("away",)]


async def test_coming_home_drops_a_refused_tunnel() -> None:
    plane = Plane()
    keeper = DataPlaneKeeper(plane, HOME, 64, Counter())
    plane.refusing = {"bind", "unbind"}
    keeper.apply(bind(AGENT))
    keeper.apply(Unbind())
    plane.refusing = set()
    keeper.apply(AtHome("eth0", ROUTER1))
    await asyncio.sleep(0.25)
    assert plane.calls == [("at_home", 64)]


async def test_addresses_that_cannot_be_removed_stop_nothing() -> None:
    plane = Plane()
    plane.refusing = {"flush"}
    DataPlaneKeeper(plane, HOME, 64, Counter()).drop(DropCareOfAddresses("eth0", (), None))


async def test_nothing_is_tried_again_after_close() -> None:
    plane = Plane()
    keeper = DataPlaneKeeper(plane, HOME, 64, Counter())
    plane.refusing = {"bind"}
    keeper.apply(bind(AGENT))
    keeper.close()
    plane.refusing = set()
    await asyncio.sleep(0.25)
    assert plane.calls == []
