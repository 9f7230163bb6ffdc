"""The HA-PP as one deterministic state machine: inputs of `events.py` in, actions of `events.py` out."""

from __future__ import annotations

import random
from typing import assert_never

from closedloop_nf.ha_pp import discovery, replies
from closedloop_nf.ha_pp.events import (
    Action,
    DadDone,
    Disconnect,
    Finished,
    HomeAddressOptionReceived,
    Icmpv6Received,
    Input,
    LinkClosed,
    LinkConnected,
    LinkMessage,
    MobilityReceived,
    SendLink,
    SocketState,
    Stop,
    TrafficMeasured,
)
from closedloop_nf.ha_pp.ownership import Ownership
from closedloop_nf.ha_pp.prefix_advertising import PrefixAdvertiser
from closedloop_nf.ha_pp.refresh import Refresher
from closedloop_nf.ha_pp.registration import Registrar
from closedloop_nf.ha_pp.session import Session
from closedloop_nf.ha_pp.state import Parameters, State
from closedloop_nf.ha_pp.switching import Switcher
from closedloop_nf.link import messages
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.wire import mobility
from closedloop_nf.wire.errors import ParseError, Reason
from closedloop_nf.wire.ipv6 import is_unicast_routable
from closedloop_nf.wire.status import BindingErrorStatus


class PacketProcessor:
    """One HA-PP process from start to end. rng: jitter of reconnection and the order of equals in a DHAAD reply."""

    def __init__(self, parameters: Parameters, rng: random.Random) -> None:
        self.state = State(parameters)
        self.refresher = Refresher(self.state)
        self.advertiser = PrefixAdvertiser(self.state, rng)
        self.ownership = Ownership(self.state, self.refresher, self.advertiser)
        self.session = Session(self.state, self.ownership, rng)
        self.registrar = Registrar(self.state, self.ownership)
        self.switcher = Switcher(self.state)
        self._rng = rng
        self._stopped = False

    def deadline(self) -> float | None:
        """Monotonic seconds of the next tick wanted; None: none."""
        if self._stopped:
            return None
        parts = (
            self.ownership.deadline(),
            self.session.deadline(),
            self.refresher.deadline(),
            self.switcher.deadline(),
            self.advertiser.deadline(),
        )
        return min([at for at in parts if at is not None], default=None)

    def tick(self, now: Instant) -> list[Action]:
        if not self._stopped:
            self.session.tick(now)
            self.ownership.tick(now)
            self.session.installed(now)
            self.switcher.tick(now)
            self.refresher.tick(now)
            self.advertiser.tick(now)
        return self.state.take_actions()

    def handle(self, event: Input, now: Instant) -> list[Action]:
        if self._stopped:
            return []
        match event:
            case MobilityReceived():
                self._mobility(event, now)
            case LinkMessage():
                self._link(event.message, now)
            case HomeAddressOptionReceived():
                self._home_address_option(event.source, event.destination, event.home_address, now)
            case Icmpv6Received():
                discovery.answer(self.state, event, now, self._rng, self.advertiser)
            case LinkConnected():
                self.session.connect_done(now)
            case LinkClosed():
                self.registrar.link_closed()
                self.session.closed(now)
            case DadDone():
                self.registrar.dad_done(event, now)
            case SocketState():
                self.session.socket_open = event.open
                self.session.beat(now)
            case TrafficMeasured():
                self.session.traffic(event.rows)
            case Stop():
                self._stop()
            case _:
                assert_never(event)
        return self.state.take_actions()

    def ready(self, now: Instant) -> bool:
        """Able to do what its role asks: socket open, synced with HA-B and, when active, inside its lease."""
        return self.session.socket_open and self.session.synced and (self.state.role == "standby" or now.mono < self.state.lease_until)

    # --- from mobile nodes -------------------------------------------------------------------------------------------

    def _mobility(self, event: MobilityReceived, now: Instant) -> None:
        state = self.state
        if event.destination != state.address:
            state.counters["discarded_not_our_address"] += 1
            return
        if state.role == "active" and not state.serving(now):
            state.counters["discarded_lease_lapsed"] += 1
            return
        sender = event.source if event.home_address is None else event.home_address
        if not mobility.checksum_ok(event.payload, sender, event.destination):
            state.counters["discarded_checksum"] += 1
            return
        try:
            message = mobility.parse_mobility(event.payload)
        except ParseError as error:
            state.counters["discarded_" + error.reason] += 1
            self._parameter_problem(error, event, now)
            return
        if isinstance(message, mobility.BindingUpdate):
            self.registrar.binding_update(message, event.payload, event.source, event.destination, event.home_address, now)
        elif isinstance(message, mobility.UnknownMobility):
            state.counters["discarded_unknown_mh_type"] += 1
            self._binding_error(BindingErrorStatus.UNKNOWN_MH_TYPE, event.source, event.destination, event.home_address or bytes(16), now)
        elif event.home_address is None or self._home_address_option(event.source, event.destination, event.home_address, now):
            state.counters["discarded_not_for_home_agent"] += 1

    def _home_address_option(self, source: bytes, destination: bytes, home_address: bytes, now: Instant) -> bool:
        """RFC 6275 section 9.3.1: the option is good only for a binding with this care-of address; whether it is."""
        state = self.state
        row = state.known.bindings.get(home_address)
        if row is not None and row.care_of_address == source:
            return True
        state.counters["discarded_home_address_without_binding"] += 1
        if destination == state.address and state.serving(now):
            self._binding_error(BindingErrorStatus.UNKNOWN_BINDING, source, destination, home_address, now)
        return False

    def _binding_error(self, status: BindingErrorStatus, source: bytes, destination: bytes, home_address: bytes, now: Instant) -> None:
        if source[0] != 0xFF and any(source) and self.state.unauthenticated.take(now):
            self.state.counters["binding_errors_sent"] += 1
            self.state.out.append(
                replies.binding_error(source=destination, destination=source, status=int(status), home_address=home_address)
            )

    def _parameter_problem(self, error: ParseError, event: MobilityReceived, now: Instant) -> None:
        """RFC 6275 section 9.2: of these two the sender hears. The kernel has none for a header that only a raw socket knows."""
        if (
            error.reason in (Reason.PAYLOAD_PROTO, Reason.HEADER_LENGTH)
            and is_unicast_routable(event.source)
            and self.state.unauthenticated.take(now)
        ):
            self.state.counters["parameter_problems_sent"] += 1
            self.state.out.append(
                replies.parameter_problem(
                    source=event.destination,
                    destination=event.source,
                    home_address=event.home_address,
                    payload=event.payload,
                    offset=error.offset,
                )
            )

    # --- from HA-B ---------------------------------------------------------------------------------------------------

    def _link(self, message: messages.ToPacketProcessor, now: Instant) -> None:
        state = self.state
        if not self.session.admits(message, now):
            return
        match message:
            case messages.Registered():
                home_address = self.registrar.registered(message, now)
                if home_address is not None:
                    self.switcher.registered(home_address)
            case messages.BeatAck():
                self.session.beat_acknowledged(message, now)
            case messages.Bindings():
                self.ownership.apply(message.rows)
                for row in message.rows:
                    if row.owner != state.parameters.name or row.lifetime_s == 0:
                        self.switcher.done(row.home_address)
            case messages.SecurityAssociations():
                state.known.learn_keys(message.rows)
            case messages.Welcome():
                self.session.welcome(message, now)
            case messages.SnapshotDone():
                self.session.snapshot_done(message, now)
            case messages.HomeAgents():
                state.home_agents = list(message.rows)
                state.policy_changed()
            case messages.Revoke():
                self.switcher.done(message.home_address)
                self.ownership.revoke(message.home_address, now)
                if self.ownership.lingering == 1:
                    # Before HA-B can count the binding as another's: who waits for this HA-PP to be empty waits for the last packet too.
                    self.session.beat(now)
                state.out.append(SendLink(messages.Revoked(message.home_address, message.revision)))
            case messages.Adopt():
                self._adopt(message, now)
            case messages.Relinquish():
                state.role = "standby"
                self.ownership.stop_all()
                self.switcher.stop()
                state.log("relinquished")
                state.out.append(SendLink(messages.Relinquished(message.revision)))
            case messages.SwitchHomeAgent():
                self.switcher.begin(message.home_addresses, message.home_agents, now)
            case messages.Refused():
                self.session.refused(message)
            case _:
                assert_never(message)

    def _adopt(self, message: messages.Adopt, now: Instant) -> None:
        """Take over: role and address at once, the bindings piece by piece."""
        state = self.state
        state.role, state.epoch = "active", message.epoch
        taken = self.ownership.adopt(message)
        if message.shared_address:
            state.shared_address = message.shared_address
            state.policy_changed()
            self.ownership.take_address(message.shared_address, on_home_link=True, now=now)
        else:
            self.ownership.open_gate(now)
            self.ownership.announce_all(now)
        self.ownership.tick(now)
        state.log("adopted", previous_owner=message.previous_owner, bindings=len(taken), epoch=message.epoch)
        if message.switch and state.address is not None:
            self.switcher.begin(taken, [state.address], now)

    def _stop(self) -> None:
        """Serve nothing, tell HA-B, end."""
        self.ownership.stop_all()
        self.ownership.drop_address()
        if self.session.welcomed:
            self.state.out.append(SendLink(messages.Bye("stopping")))
        self.state.out.append(Disconnect())
        self.state.out.append(Finished())
        self._stopped = True
