"""The mobile node as a state machine without I/O (RFC 6275 section 11; docs/architecture.md, "a core without I/O").

It joins what the other files do: movement.py says where the node is, home_agents.py which home agent is next, registration.py keeps the
binding; here is decided what one means for the other and for the data plane.
"""

from __future__ import annotations

import random
from collections import Counter

from closedloop_nf.mobile_node.actions import Action, AnnounceHome, AtHome, Away, Bind, Emit, EventFields, Expect, Stopped, Unbind
from closedloop_nf.mobile_node.home_agents import Discovery, HomeAgents, discovery_request, usable_addresses
from closedloop_nf.mobile_node.inputs import AddressChanged, Icmpv6Received, Input, LinkChanged, MobilityReceived, RouterAdvertised, Stop
from closedloop_nf.mobile_node.movement import Attachment, Movement
from closedloop_nf.mobile_node.prefixes import HomePrefixes, prefix_solicitation
from closedloop_nf.mobile_node.reception import Reception
from closedloop_nf.mobile_node.registration import (
    Accepted,
    Deregistered,
    Expired,
    Ignored,
    Outcome,
    RefreshDue,
    Registration,
    Rejected,
    Target,
    Unanswered,
)
from closedloop_nf.mobile_node.security import ReplayClock, Security
from closedloop_nf.mobile_node.settings import Settings
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import icmpv6, mobility
from closedloop_nf.wire.status import BindingErrorStatus


class MobileNodeCore:
    """One mobile node. `handle` and `tick` return actions to be applied in order; `deadline` is when `tick` is due (monotonic seconds)."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self.clock = ReplayClock()
        self._security = Security(settings.security, settings.home_address)
        self.movement = Movement(settings)
        self.registration = Registration(settings, self._security, self.clock, rng)
        self.home_agents = HomeAgents(settings.home_agents)
        self.discovery = Discovery(settings.timers, rng)
        self.prefixes = HomePrefixes(settings, rng)
        self.counters: Counter[str] = Counter()
        self._reception = Reception(settings, self._security, self.clock, self.counters)
        self.place: Attachment | None = None
        """Where the node is registered from or about to be; None while no link carries it."""
        self._placed: bool | None = None
        """Where the home address sits: True at home, False away, None not yet anywhere."""
        self._tunnel: tuple[bytes, bytes] | None = None
        """(care-of address, home agent) in the data plane."""
        self._predecessor_until = 0.0
        """Until then a binding of a killed predecessor may live at the home agent."""
        self._started = False
        self._stop_at: float | None = None
        self.stopped = False

    # --- the three calls of a core -----------------------------------------------------------------------------------

    def handle(self, event: Input, now: Instant) -> list[Action]:
        if self.stopped:
            return []
        if not self._started:
            self._started = True
            self._predecessor_until = now.mono + self._settings.lifetime_s
        match event:
            case LinkChanged():
                actions = self.movement.link_changed(event.interface, event.up, now)
                if not event.up and self.place is not None and self.place.interface == event.interface:
                    actions += self._detach(now)
                return actions + self._follow(now)
            case RouterAdvertised():
                # What leaves first is the Binding Update; the advertisement's event carries its own time.
                events = self.movement.router_advertised(event, now)
                return self._follow(now) + events
            case AddressChanged():
                self.movement.address_changed(event, now)
                return self._follow(now)
            case MobilityReceived():
                return self._mobility(event, now)
            case Icmpv6Received():
                return self._icmpv6(event, now)
            case Stop():
                return self._stop(now)

    def tick(self, now: Instant) -> list[Action]:
        if self.stopped:
            return []
        actions = [*self.movement.tick(now), *self._follow(now)]
        sent, outcomes = self.registration.tick(now)
        actions += sent
        for outcome in outcomes:
            actions += self._outcome(outcome, now)
        if self.discovery.tick(now):
            actions += self._ask_home_agents(now)
        if self.prefixes.tick(now):
            actions += self._ask_prefixes(now)
        if self._stop_at is not None and self._stop_at <= now.mono:
            actions += self._finish(now, "stop_timeout")
        return actions

    def deadline(self) -> float | None:
        if self.stopped:
            return None
        times = (self.movement.deadline(), self.registration.deadline(), self.discovery.due, self.prefixes.deadline(), self._stop_at)
        return min((time for time in times if time is not None), default=None)

    # --- movement ----------------------------------------------------------------------------------------------------

    def _follow(self, now: Instant) -> list[Action]:
        """Register from where the node is now, when that has changed."""
        actions = self._detach(now) if self.place is not None and not self.movement.has(self.place) else []
        place = self.movement.attachment()
        if place is None or self._stop_at is not None:
            return actions
        if place == self.place:
            return self._register(now) if self.registration.outlasts(self.movement.valid_until(place)) else []
        former, self.place = self.place, place
        actions += self.movement.forget_others(place)
        if place.home:
            return actions + self._come_home(place, now)
        if former is not None and former._replace(router=place.router) == place:
            # Another router of the same prefix: nothing changes for the home agent.
            return actions
        if self._placed is not False:
            self._placed = False
            actions.append(Away())
        self.home_agents.begin_round()
        actions += self._register(now)
        fields: EventFields = {"interface": place.interface, "router": place.router, "address": place.care_of_address}
        return [*actions, Emit(now, "care_of_address", fields)]

    def _come_home(self, place: Attachment, now: Instant) -> list[Action]:
        """RFC 6275 section 11.5.5: the home address is used as care-of address to delete the binding."""
        self._placed = True
        self._tunnel = None
        self.prefixes.stop()
        self.discovery.stop()
        self.home_agents.begin_round()
        actions: list[Action] = [AtHome(place.interface, place.router)]
        actions += self._register(now) if self._may_be_bound(now) else self._settle_at_home()
        return [*actions, Emit(now, "at_home", {"interface": place.interface, "router": place.router})]

    def _settle_at_home(self) -> list[Action]:
        """No home agent holds a binding: the home address is ours on its link."""
        if self.place is None or not self.place.home:
            return []
        self.registration.cancel()
        return [AnnounceHome(self.place.interface)]

    def _detach(self, now: Instant) -> list[Action]:
        """The link or the care-of address that carried the node is gone."""
        self.place = None
        self.registration.cancel()
        self.discovery.stop()
        return [Emit(now, "detached")]

    def _may_be_bound(self, now: Instant) -> bool:
        """Whether a home agent may hold a binding: one of ours, or one of a killed predecessor."""
        return self.registration.bound is not None or now.mono < self._predecessor_until

    # --- registration ------------------------------------------------------------------------------------------------

    def _register(self, now: Instant, *, same_round: bool = False, adopted: bool = False) -> list[Action]:
        """Send a Binding Update from the present place to the current home agent, or look for one.

        adopted: the agent has our binding already, from its predecessor.
        """
        place, agent = self.place, self.home_agents.current
        if place is None:
            return []
        if agent is None:
            return self._discover(now)
        actions = self.registration.aim(self._target(place, agent), now, same_round=same_round)
        if place.home:
            return actions
        if self._tunnel is not None and (adopted or self._tunnel[1] == agent):
            # The home agent has a binding of ours and is being told of the address: packets follow at once, both ways.
            return actions + self._bind(place, agent)
        return [*actions, Expect(place.care_of_address, agent, place.interface)]

    def _target(self, place: Attachment, agent: bytes) -> Target:
        ends = [end for end in (self.prefixes.valid_until, self.movement.valid_until(place)) if end is not None]
        return Target(agent, place.care_of_address, 0 if place.home else self._settings.lifetime_s, min(ends, default=None))

    def _bind(self, place: Attachment, agent: bytes) -> list[Action]:
        self._tunnel = (place.care_of_address, agent)
        return [Bind(place.care_of_address, agent, place.interface)]

    def _unbind(self) -> list[Action]:
        if self._tunnel is None:
            return []
        self._tunnel = None
        return [Unbind()]

    def _outcome(self, outcome: Outcome, now: Instant) -> list[Action]:
        match outcome:
            case Accepted():
                return self._accepted(outcome, now)
            case Deregistered():
                return self._deregistered(outcome, now)
            case Rejected():
                return self._failed(f"status_{outcome.status}", now, answered=True)
            case Unanswered():
                return self._failed("unanswered", now, answered=False)
            case Expired():
                settled = [] if self._may_be_bound(now) else self._settle_at_home()
                return [*self._unbind(), *settled, Emit(now, "binding_expired", {"home_agent": outcome.bound.home_agent})]
            case RefreshDue():
                return self._register(now)
            case Ignored():
                self.counters[outcome.reason] += 1
                return []

    def _accepted(self, outcome: Accepted, now: Instant) -> list[Action]:
        bound, place = outcome.bound, self.place
        self._predecessor_until = now.mono
        self.home_agents.begin_round()
        self.discovery.stop()
        actions: list[Action] = []
        if place is not None and self._tunnel != (bound.care_of_address, bound.home_agent):
            actions += self._bind(place, bound.home_agent)
        fields: EventFields = {
            "home_agent": bound.home_agent,
            "care_of_address": bound.care_of_address,
            "lifetime_s": bound.lifetime_s,
        }
        actions.append(Emit(now, "bound", fields))
        return actions + (self._solicit_prefixes(now) if outcome.prefix_discovery else [])

    def _deregistered(self, outcome: Deregistered, now: Instant) -> list[Action]:
        self._predecessor_until = now.mono
        self.home_agents.begin_round()
        actions = [*self._settle_at_home(), Emit(now, "deregistered", {"home_agent": outcome.home_agent})]
        return actions if self._stop_at is None else actions + self._finish(now, "deregistered")

    def _failed(self, reason: str, now: Instant, *, answered: bool) -> list[Action]:
        """The current home agent did not take the registration: on to the next; when all have failed, ask the home network for others."""
        place, pending = self.place, self.registration.pending
        if place is None or pending is None:
            return []
        if self._stop_at is not None:
            return self.registration.next_round(pending.target, now, wait=answered)
        if place.home and not self._may_be_bound(now):
            return self._settle_at_home()
        failed = pending.target.home_agent
        following = self.home_agents.fail(failed)
        if following is not None:
            event = Emit(now, "home_agent_changed", {"from": failed, "to": following, "reason": reason})
            return [*self._register(now, same_round=True), event]
        first = self.home_agents.known[0]
        actions = self.registration.next_round(self._target(place, first), now, wait=answered)
        if first != failed:
            actions.append(Emit(now, "home_agent_changed", {"from": failed, "to": first, "reason": reason}))
        return actions if place.home else actions + self._discover(now)

    # --- discovery of home agents and prefixes -----------------------------------------------------------------------

    def _discover(self, now: Instant) -> list[Action]:
        return self._ask_home_agents(now) if self._settings.discover_home_agents and self.discovery.start(now) else []

    def _ask_home_agents(self, now: Instant) -> list[Action]:
        if self.place is None or self.place.home:
            return []
        request = discovery_request(self.place.care_of_address, self._settings.home_prefix, self.discovery.identifier)
        return [request, Emit(now, "dhaad_sent", {"destination": request.destination})]

    def _solicit_prefixes(self, now: Instant) -> list[Action]:
        return self._ask_prefixes(now) if self.prefixes.start(now) else []

    def _ask_prefixes(self, now: Instant) -> list[Action]:
        place, bound = self.place, self.registration.bound
        if place is None or place.home or bound is None:
            return []
        request = prefix_solicitation(place.care_of_address, bound.home_agent, self._settings.home_address, self.prefixes.identifier)
        return [request, Emit(now, "prefix_solicited", {"home_agent": bound.home_agent})]

    def _icmpv6(self, event: Icmpv6Received, now: Instant) -> list[Action]:
        message = self._reception.read_icmpv6(event)
        match message:
            case icmpv6.HomeAgentDiscoveryReply():
                return self._discovered(message, event.source, now)
            case icmpv6.MobilePrefixAdvertisement():
                return self._prefixes_advertised(message, event.source, now)
            case icmpv6.DestinationUnreachable() | icmpv6.ParameterProblem():
                sequence = self._reception.undelivered_sequence(message.invoking)
                if sequence is not None:
                    self.counters["update_undelivered"] += 1
                    self.registration.hasten(sequence, now)
        return []

    def _discovered(self, reply: icmpv6.HomeAgentDiscoveryReply, source: bytes, now: Instant) -> list[Action]:
        """RFC 6275 section 11.4.1."""
        if not self.discovery.matches(reply.identifier):
            self.counters["dhaad_reply_unexpected"] += 1
            return []
        agents = usable_addresses(reply, source)
        event = Emit(now, "dhaad_reply", {"home_agents": agents})
        if not agents:
            return [event]
        self.discovery.stop()
        self.home_agents.prefer(agents)
        return [event, *self._register(now)]

    def _prefixes_advertised(self, message: icmpv6.MobilePrefixAdvertisement, source: bytes, now: Instant) -> list[Action]:
        bound = self.registration.bound
        if bound is None or source != bound.home_agent:
            self.counters["prefix_advertisement_from_other_node"] += 1
            return []
        if not self.prefixes.advertisement(message.identifier, message.options, now):
            return self._solicit_prefixes(now)
        return [Emit(now, "prefixes_advertised", {"prefixes": " ".join(str(prefix) for prefix, _lifetimes in self.prefixes.advertised)})]

    # --- Mobility Header ---------------------------------------------------------------------------------------------

    def _mobility(self, event: MobilityReceived, now: Instant) -> list[Action]:
        message = self._reception.read_mobility(event, self._care_of_addresses(), now)
        match message:
            case mobility.BindingAcknowledgement():
                return self._acknowledged(message, event.source, now)
            case mobility.HomeAgentSwitch():
                return self._switch(message, event.source, now)
            case mobility.BindingRefreshRequest():
                return self._asked_to_refresh(event.source, "refresh_requested", now)
            case mobility.BindingError():
                if message.status == BindingErrorStatus.UNKNOWN_BINDING and message.home_address == self._settings.home_address:
                    return self._asked_to_refresh(event.source, "binding_error", now)
                self.counters["binding_error_ignored"] += 1
        return []

    def _care_of_addresses(self) -> list[bytes]:
        """What an authenticator may have been computed with: the outstanding update's care-of address, else the binding's."""
        pending, bound = self.registration.pending, self.registration.bound
        addresses = [] if pending is None else [pending.target.care_of_address]
        if bound is not None and bound.care_of_address not in addresses:
            addresses.append(bound.care_of_address)
        return addresses

    def _acknowledged(self, ack: mobility.BindingAcknowledgement, source: bytes, now: Instant) -> list[Action]:
        actions, outcome = self.registration.acknowledged(ack, source, now)
        fields: EventFields = {"home_agent": source, "status": ack.status, "sequence": ack.sequence, "lifetime_s": ack.lifetime * 4}
        return [*actions, Emit(now, "ba_received", fields), *self._outcome(outcome, now)]

    def _asked_to_refresh(self, source: bytes, event: str, now: Instant) -> list[Action]:
        """Neither message is authenticated: it makes the node ask, never believe. The rate limit bounds what a forger can cause."""
        bound = self.registration.bound
        if bound is None or source != bound.home_agent or self.registration.pending is not None or self.place is None:
            self.counters[f"{event}_ignored"] += 1
            return []
        return [*self._register(now), Emit(now, event, {"home_agent": source})]

    def _switch(self, message: mobility.HomeAgentSwitch, source: bytes, now: Instant) -> list[Action]:
        """RFC 5142 section 6. An agent that names itself first has adopted the binding already: the tunnel follows without waiting."""
        place = self.place
        if self._stop_at is not None or place is None or place.home:
            self.counters["switch_ignored"] += 1
            return []
        event = Emit(now, "switch_received", {"from": source, "home_agents": list(message.home_agents)})
        if not message.home_agents:
            return [event, *self._discover(now)]
        former = self.home_agents.current
        self.home_agents.prefer(message.home_agents)
        agent, pending = message.home_agents[0], self.registration.pending
        adopted = source == agent
        actions: list[Action] = []
        if pending is None or pending.target[:2] != (agent, place.care_of_address):
            actions += self._register(now, adopted=adopted)
        elif adopted and self._tunnel is not None and self._tunnel != (place.care_of_address, agent):
            actions += self._bind(place, agent)
        actions.append(event)
        if former != agent:
            actions.append(Emit(now, "home_agent_changed", {"from": former, "to": agent, "reason": "switch"}))
        return actions

    # --- end ---------------------------------------------------------------------------------------------------------

    def _stop(self, now: Instant) -> list[Action]:
        if self._stop_at is not None:
            return []
        bound, place = self.registration.bound, self.place
        if not self._settings.deregister_on_stop or place is None or place.home or (bound is None and self.registration.pending is None):
            return self._finish(now, "stopped")
        agent = bound.home_agent if bound is not None else self.home_agents.current
        if agent is None:
            return self._finish(now, "stopped")
        self._stop_at = now.mono + self._settings.timers.stop_timeout_s
        self.discovery.stop()
        self.prefixes.stop()
        return self.registration.aim(Target(agent, place.care_of_address, 0), now)

    def _finish(self, now: Instant, reason: str) -> list[Action]:
        self.stopped = True
        self.registration.forget()
        return [*self._unbind(), Emit(now, "stopped", {"reason": reason}), Stopped()]
