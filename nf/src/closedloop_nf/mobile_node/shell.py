"""The mobile node's shell: sockets, netlink and HTTP around the core."""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import ssl
from typing import TYPE_CHECKING, Any

from closedloop_nf.kernel.choose import choose_mobile_node_data_plane
from closedloop_nf.kernel.errors import KernelError
from closedloop_nf.kernel.links import AddressState, LinkEvent, LinkMonitor, LinkState, RouterAdvertisementSeen
from closedloop_nf.kernel.neighbor import Announcer
from closedloop_nf.kernel.sockets import Icmpv6Socket, MobilitySocket, PacketSender
from closedloop_nf.mobile_node import actions, inputs
from closedloop_nf.mobile_node.advertisement import router_advertised
from closedloop_nf.mobile_node.config import Config, settings
from closedloop_nf.mobile_node.core import MobileNodeCore
from closedloop_nf.mobile_node.data_plane import DataPlaneKeeper
from closedloop_nf.mobile_node.event_stream import EventStream
from closedloop_nf.mobile_node.status import is_ready, metrics, status
from closedloop_nf.runtime.clock import now
from closedloop_nf.runtime.http import Probes, bearer_token, listen, serve_http
from closedloop_nf.runtime.privileges import Capability, become
from closedloop_nf.runtime.serve import Driver
from closedloop_nf.runtime.tls import server_context
from closedloop_nf.wire import icmpv6, ipv6
from closedloop_nf.wire.mobility import MOBILITY_HEADER

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger("closedloop_nf.mobile_node")

ANNOUNCEMENTS = 3
"""MAX_NEIGHBOR_ADVERTISEMENT (RFC 4861 section 10)."""
ANNOUNCE_INTERVAL_S = 1.0
"""RetransTimer between them."""
ICMPV6_TYPES = (
    icmpv6.DestinationUnreachable.TYPE,
    icmpv6.ParameterProblem.TYPE,
    icmpv6.HomeAgentDiscoveryReply.TYPE,
    icmpv6.MobilePrefixAdvertisement.TYPE,
)


class Shell:
    """Owns every descriptor of the process. `run` returns when the core has stopped, or raises what broke."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._home = bytes(config.home_address)
        self.core = MobileNodeCore(settings(config), random.SystemRandom())
        self._http_token, self._http_tls = self._import_http()
        become(config.user, (Capability.NET_ADMIN, Capability.NET_RAW))
        self._driver: Driver[inputs.Input, actions.Action] = Driver(self.core, self._apply)
        self._events = EventStream(config.events) if config.events is not None else None
        self._plane = choose_mobile_node_data_plane(config.data_plane)
        self._plane.reset()
        self._plane.open()
        log.info("data plane open", extra={"data_plane": self._plane.name})
        self._mobility = MobilitySocket("mobile_node")
        self._icmpv6 = Icmpv6Socket(ICMPV6_TYPES)
        self._sender = PacketSender()
        self._monitor = LinkMonitor(list(config.interfaces), self._on_link_event)
        self._http = listen(config.http.address, config.http.port) if config.http is not None else None
        self._finished: asyncio.Future[None] | None = None
        self._keeper = DataPlaneKeeper(self._plane, self._home, config.home_prefix.length, self.core.counters)

    async def run(self, stop: asyncio.Event) -> None:
        """Roam until `stop` is set; then deregister, where configured, and clean the kernel. The home address stays."""
        loop = asyncio.get_running_loop()
        self._finished = loop.create_future()
        loop.set_exception_handler(lambda _, context: self._fail(context.get("exception") or RuntimeError(context["message"])))
        if self._config.mobility_auth == "none":
            log.warning("mobility_auth is none: whoever sees this node's packets can redirect its traffic")
        for descriptor in self._mobility.filenos():
            loop.add_reader(descriptor, self._read_mobility)
        loop.add_reader(self._icmpv6.fileno(), self._read_icmpv6)
        for descriptor, callback in self._plane.readers().items():
            loop.add_reader(descriptor, callback)
        self._monitor.start()
        waiting = loop.create_task(stop.wait())
        waiting.add_done_callback(lambda _: self._feed(inputs.Stop()))
        http = loop.create_task(self._serve_http())
        try:
            await self._finished
        finally:
            waiting.cancel()
            http.cancel()
            self._close()

    def _close(self) -> None:
        self._driver.close()
        self._keeper.close()
        self._monitor.close()
        self._plane.close()
        for closable in (self._mobility, self._icmpv6, self._sender, self._http, self._events):
            if closable is not None:
                closable.close()

    # --- HTTP --------------------------------------------------------------------------------------------------------

    def _import_http(self) -> tuple[bytes | None, ssl.SSLContext | None]:
        """Load what serving HTTP needs, and read its secrets."""
        config = self._config.http
        if config is None:
            return None, None
        for module in ("aiohttp.web", "prometheus_client.core"):
            importlib.import_module(module)
        return bearer_token(config), server_context(config.tls, "http.tls") if config.tls is not None else None

    async def _serve_http(self) -> None:
        if self._http is None:
            return
        await serve_http(
            self._http,
            Probes(
                healthz=lambda: (True, {"data_plane": self._plane.name, "mobility_auth": self._config.mobility_auth}),
                readyz=lambda: (is_ready(self.core), self._status()),
                metrics=lambda: metrics(self.core, self._mobility.counters, self._plane.stats()),
            ),
            token=self._http_token,
            tls=self._http_tls,
            extend=self._add_routes,
        )

    def _add_routes(self, app: web.Application) -> None:
        from aiohttp import web

        async def answer(_: web.Request) -> web.Response:
            return web.json_response(self._status())

        app.router.add_get("/status", answer)

    def _status(self) -> dict[str, Any]:
        return status(self.core, self._home, now())

    # --- inputs ------------------------------------------------------------------------------------------------------

    def _feed(self, event: inputs.Input) -> None:
        try:
            self._driver.feed(event)
        except Exception as error:  # crash-only: nothing goes on after a step that was half applied
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_exception(error)

    def _on_link_event(self, event: LinkEvent) -> None:
        match event:
            case LinkState():
                self._feed(inputs.LinkChanged(event.interface, event.up))
            case AddressState():
                usable = event.usable and not event.deprecated
                self._feed(inputs.AddressChanged(event.interface, event.address, usable, event.slaac, event.valid_until))
            case RouterAdvertisementSeen():
                seen = router_advertised(event.interface, event.router, event.payload)
                if seen is not None:
                    self._feed(seen)

    def _read_mobility(self) -> None:
        for got in self._mobility.recv_batch():
            if got.next_header == MOBILITY_HEADER:
                self._feed(inputs.MobilityReceived(got.source, got.destination, got.routing_home_address, got.payload))
            elif got.next_header == ipv6.ICMPV6 and icmpv6.checksum_ok(
                got.payload, got.source, got.routing_home_address or got.destination
            ):
                self._feed(inputs.Icmpv6Received(got.source, got.destination, got.routing_home_address, got.payload))

    def _read_icmpv6(self) -> None:
        for got in self._icmpv6.recv_batch():
            self._feed(inputs.Icmpv6Received(got.source, got.destination, None, got.payload))

    # --- actions -----------------------------------------------------------------------------------------------------

    def _apply(self, action: actions.Action) -> None:
        match action:
            case actions.SendMobility():
                self._send(action, MOBILITY_HEADER)
            case actions.SendIcmpv6():
                self._send(action, ipv6.ICMPV6)
            case actions.Expect() | actions.Bind() | actions.Unbind() | actions.AtHome() | actions.Away():
                self._keeper.apply(action)
            case actions.Emit():
                self._report(action)
            case actions.SolicitRouter():
                self._monitor.solicit_router(action.interface)
            case actions.DropCareOfAddresses():
                self._keeper.drop(action)
            case actions.AnnounceHome():
                self._announce(action.interface, ANNOUNCEMENTS)
            case actions.Stopped():
                if self._finished is not None and not self._finished.done():
                    self._finished.set_result(None)

    def _send(self, action: actions.SendMobility | actions.SendIcmpv6, next_header: int) -> None:
        home = action.home_address_option
        packet = ipv6.build_packet(action.source, action.destination, next_header, action.payload, home_address_option=home)
        if not self._sender.send(packet):
            self.core.counters["send_refused"] += 1

    def _report(self, event: actions.Emit) -> None:
        self.core.counters[f"event_{event.event}"] += 1
        if self._events is not None:
            try:
                self._events.write(event)
            except OSError as error:
                # A full disk is no reason to lose the network.
                self.core.counters["event_not_written"] += 1
                log.warning("event not written", extra={"problem": error.strerror})
        log.info(event.event, extra=event.fields)

    def _announce(self, interface: str, times: int) -> None:
        place = self.core.place
        if place is None or not place.home or place.interface != interface:
            return
        try:
            announcer = Announcer(interface)
        except KernelError as error:
            log.warning("home address not announced", extra={"interface": interface, "problem": str(error)})
        else:
            announcer.announce([self._home])
            announcer.close()
        if times > 1:
            asyncio.get_running_loop().call_later(ANNOUNCE_INTERVAL_S, self._announce, interface, times - 1)
