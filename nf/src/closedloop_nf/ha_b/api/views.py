"""From the core's tables to bodies of the API. Only committed rows are shown."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from closedloop_nf.ha_b.api.types import (
    BindingPage,
    BindingView,
    EventPage,
    EventView,
    Flag,
    HomeAgentCondition,
    HomeAgentPage,
    HomeAgentView,
    MobileNodePage,
    MobileNodeView,
)
from closedloop_nf.ha_b.event_log import Entry
from closedloop_nf.ha_b.world import HomeAgentState, Phase, World
from closedloop_nf.link.messages import Binding
from closedloop_nf.runtime.addresses import to_text

K = TypeVar("K", bytes, str)

_FLAGS: Final[tuple[tuple[Flag, int], ...]] = (("A", 0x8000), ("H", 0x4000), ("L", 0x2000), ("K", 0x1000))


def binding(world: World, row: Binding, mono: float) -> BindingView:
    # Summed: while a mobile node moves, two HA-PPs have a part each.
    rates = [rate for session in world.sessions.values() if (rate := session.measured(mono).get(row.home_address)) is not None]
    return BindingView(
        home_address=to_text(row.home_address),
        care_of_address=to_text(row.care_of_address),
        owner=row.owner,
        epoch=row.epoch,
        sequence=row.sequence,
        lifetime_s=row.lifetime_s,
        expires_at=row.expires_at,
        flags=[letter for letter, bit in _FLAGS if row.flags & bit],
        revision=row.revision,
        from_node_bit_per_s=sum(rate.from_node_bit_per_s for rate in rates),
        to_node_bit_per_s=sum(rate.to_node_bit_per_s for rate in rates),
    )


def _page(keys: Iterable[K], cursor: K | None, limit: int) -> tuple[list[K], K | None]:
    """The `limit` lowest keys after the cursor, and the cursor of the next page."""
    chosen = heapq.nsmallest(limit + 1, (key for key in keys if cursor is None or key > cursor))
    return chosen[:limit], chosen[limit - 1] if len(chosen) > limit else None


def bindings(world: World, wanted: Callable[[Binding], bool], cursor: bytes | None, limit: int, mono: float) -> BindingPage:
    committed = world.bindings.committed
    page, following = _page((row.home_address for row in world.bindings.live() if wanted(row)), cursor, limit)
    return BindingPage(
        [binding(world, committed[address], mono) for address in page], to_text(following) if following is not None else None
    )


def mobile_nodes(world: World, cursor: bytes | None, limit: int) -> MobileNodePage:
    page, following = _page(world.keys, cursor, limit)
    return MobileNodePage([mobile_node(world, address) for address in page], to_text(following) if following is not None else None)


def mobile_node(world: World, home_address: bytes) -> MobileNodeView:
    row = world.bindings.committed.get(home_address)
    return MobileNodeView(to_text(home_address), sorted(world.keys.get(home_address, {})), row is not None and row.lifetime_s > 0)


def home_agents(world: World, cursor: str | None, limit: int, mono: float) -> HomeAgentPage:
    page, following = _page(world.agents, cursor, limit)
    return HomeAgentPage([home_agent(world, world.agents[name], mono) for name in page], following)


def home_agent(world: World, agent: HomeAgentState, mono: float) -> HomeAgentView:
    record = agent.record
    session = world.session_of(record.name)
    serving = record.serving and not agent.proof
    rates = session.measured(mono).values() if session is not None else ()
    return HomeAgentView(
        name=record.name,
        state=_state(world, agent),
        role="active" if serving and not agent.adopting else "standby",
        serving=record.serving,
        draining=record.draining,
        holds_shared_address=world.settings.shared and serving,
        region=record.region,
        address=to_text(record.address),
        home_link_address=to_text(record.home_link_address),
        epoch=record.epoch,
        bindings=world.bindings.count(record.name),
        proof=agent.proof,
        lease_ms=0 if agent.proof else max(0, round((agent.lease_until - mono) * 1000)),
        instance=record.instance,
        host_id=record.host_id,
        from_node_bit_per_s=sum(rate.from_node_bit_per_s for rate in rates),
        to_node_bit_per_s=sum(rate.to_node_bit_per_s for rate in rates),
        lingering=session.lingering if session is not None else 0,
    )


def _state(world: World, agent: HomeAgentState) -> HomeAgentCondition:
    session = world.session_of(agent.record.name)
    if session is None:
        return "stopped" if agent.proof else "lost"
    if session.phase is not Phase.SYNCED:
        return "syncing"
    return "ready" if session.socket_open else "socket_closed"


def events(entries: list[Entry], *, last: int, missed: bool) -> EventPage:
    views = [EventView(entry.id, entry.event.kind, entry.event.name, entry.event.wall, entry.event.details) for entry in entries]
    return EventPage(views, views[-1].id if views else last, missed)
