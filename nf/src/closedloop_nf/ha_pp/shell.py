"""The HA-PP's shell: sockets, netlink, link and HTTP around the core."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
import secrets
import ssl
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from closedloop_nf.ha_pp import events, metrics
from closedloop_nf.ha_pp.batching import coalesce
from closedloop_nf.ha_pp.config import Config
from closedloop_nf.ha_pp.core import PacketProcessor
from closedloop_nf.ha_pp.node_meter import NodeMeter
from closedloop_nf.ha_pp.socket_keeper import SocketKeeper
from closedloop_nf.ha_pp.state import Parameters
from closedloop_nf.kernel.choose import choose_home_agent_data_plane
from closedloop_nf.kernel.neighbor import Announcer, DuplicateAddressDetector
from closedloop_nf.kernel.sockets import Icmpv6Socket, MobilitySocket, PacketSender, ReceivedMobility
from closedloop_nf.link.client import LinkClient
from closedloop_nf.link.messages import Synced, ToPacketProcessor
from closedloop_nf.runtime.addresses import to_text
from closedloop_nf.runtime.clock import now
from closedloop_nf.runtime.config import ConfigError, read_secret
from closedloop_nf.runtime.http import HttpServer, Probes, bearer_token, listen, serve_http
from closedloop_nf.runtime.privileges import Capability, become, finish, reading_as_root
from closedloop_nf.runtime.serve import Driver
from closedloop_nf.runtime.tls import client_context, server_context
from closedloop_nf.ves.config import Access, VesConfig
from closedloop_nf.ves.config import access as read_access
from closedloop_nf.wire import icmpv6, ipv6
from closedloop_nf.wire.mobility import MOBILITY_HEADER

if TYPE_CHECKING:
    from closedloop_nf.ves.packet_processor_shell import PacketProcessorReports

log = logging.getLogger("closedloop_nf.ha_pp")

HTTP_PATIENCE_S = 1.0
"""Without HA-B the probes are served after this time."""
ANNOUNCE_AGAIN_S = 1.0
"""RetransTimer between two unsolicited neighbour advertisements for the same address (RFC 4861 section 7.2.6)."""


class _Later(NamedTuple):
    """What is read after the first sync."""

    token: bytes | None
    tls: ssl.SSLContext | None
    access: Access | None


class Shell:
    """Owns every descriptor of the process. `run` returns when the core has finished or raises what broke."""

    def __init__(self, config: Config) -> None:
        self._config = config
        tls = client_context(config.backend.tls, "backend.tls")
        token = read_secret(config.backend.token_file, "backend.token_file").decode() if config.backend.token_file else ""
        become(config.user, (Capability.NET_ADMIN, Capability.NET_RAW), later=True)
        # The data plane first: its nftables tables go with this process, and they go before the link's end can be seen.
        self._plane = choose_home_agent_data_plane(config.home_link.interface, config.uplink_interface, config.data_plane)
        self._plane.reset()
        self._plane.open()
        log.info("data plane open", extra={"data_plane": self._plane.name})
        self._mobility = MobilitySocket("home_agent")
        self._keeper = SocketKeeper(self._mobility, self._mobility_received, self._mobility_socket)
        self._icmpv6 = Icmpv6Socket({icmpv6.HomeAgentDiscoveryRequest.TYPE})
        self._sender = PacketSender()
        self._announcer = Announcer(config.home_link.interface)
        self._detector: DuplicateAddressDetector | None = None
        self._health = listen(config.health.address, config.health.port, "health")
        self._link = LinkClient(
            to_text(config.backend.host),
            config.backend.port,
            tls,
            config.backend.tls.server_name or to_text(config.backend.host),
            connected=lambda: self._feed(events.LinkConnected()),
            received=self._read_link,
            closed=lambda: self._feed(events.LinkClosed()),
        )
        self.core = PacketProcessor(self._parameters(token), random.Random())
        self._driver: Driver[events.Input, events.Action] = Driver(self.core, self._apply)
        self._finished: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: HttpServer | None = None
        self._reports: PacketProcessorReports | None = None
        self._gathered: list[events.Action] | None = None
        """Actions of the messages from HA-B that are being decided; None: apply at once."""
        self._synced = asyncio.Event()
        self._closed = False
        self._anycast: set[bytes] = set()

    def _parameters(self, token: str) -> Parameters:
        config = self._config
        return Parameters(
            name=config.name,
            instance=secrets.token_hex(8),
            host_id=host_id(),
            region=config.region,
            address=bytes(config.address),
            home_link_address=bytes(config.home_link.address),
            health_port=self._health.getsockname()[1],
            role=config.role,
            token=token,
            data_plane=self._plane.name,
            authentication_required=config.mobility_auth == "rfc4285",
            timestamp_window_s=config.timestamp_window_s,
            max_lifetime_s=config.max_lifetime_s,
            detect_duplicates=config.home_link.dad_transmits > 0,
            prefix_min_interval_s=config.prefix_advertisement.min_interval_s,
            prefix_max_interval_s=config.prefix_advertisement.max_interval_s,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then give up every address, tell HA-B, and clean the kernel."""
        loop = asyncio.get_running_loop()
        self._finished = loop.create_future()
        loop.set_exception_handler(self._broken)
        if self._config.mobility_auth == "none":
            log.warning("mobility_auth is none: any node may bind any home address through this home agent")
        self._detector = DuplicateAddressDetector(
            self._config.home_link.interface,
            retrans_timer_s=self._config.home_link.retrans_timer_ms / 1000,
            transmits=max(1, self._config.home_link.dad_transmits),
        )
        loop.add_reader(self._icmpv6.fileno(), self._read_icmpv6)
        for descriptor, callback in self._plane.readers().items():
            loop.add_reader(descriptor, callback)
        self._spawn(self._keeper.run())
        self._driver.rearm()
        self._spawn(self._stop_when(stop))
        self._spawn(self._tell())
        try:
            await self._finished
        finally:
            for task in self._tasks:
                task.cancel()
            self._driver.close()
            self._plane.close()
            await self._link.close()
            if self._http is not None:
                await self._http.close()
            self._close_sockets()
            if self._reports is not None:
                await self._reports.close()

    async def _stop_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._feed(events.Stop())

    async def _tell(self) -> None:
        """HTTP, traffic of mobile nodes and VES events, from the first sync on: until then the imports would compete with Hello. The socket
        accepts before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HTTP_PATIENCE_S):
                await self._synced.wait()
        # In a thread, as a heartbeat must not wait for it.
        later = await asyncio.to_thread(self._read_later)
        finish()
        meter = NodeMeter(lambda rates: self._feed(events.TrafficMeasured(rates)))
        self._spawn(meter.run())
        if later.access is not None and self._config.ves is not None:
            self._spawn(self._report(self._config.ves, later.access, meter))
        self._http = await serve_http(
            self._health,
            Probes(
                healthz=self._healthz,
                readyz=self._readyz,
                metrics=partial(metrics.render, self.core, self._plane, self._mobility.counters, self._sender.failures),
            ),
            token=later.token,
            tls=later.tls,
        )

    def _read_later(self) -> _Later:
        """Load the modules and read the secrets that only HTTP and VES need."""
        health, ves = self._config.health, self._config.ves
        modules = ["aiohttp.web", "prometheus_client.core"]
        if ves is not None:
            modules += ["closedloop_nf.ves.packet_processor_shell", "closedloop_nf.ves.client"]
        with reading_as_root():
            for module in modules:
                importlib.import_module(module)
            return _Later(
                bearer_token(health, "health"),
                server_context(health.tls, "health.tls") if health.tls is not None else None,
                read_access(ves) if ves is not None else None,
            )

    async def _report(self, config: VesConfig, access: Access, meter: NodeMeter) -> None:
        """A queue that cannot be used is no reason to stop serving."""
        module = importlib.import_module("closedloop_nf.ves.packet_processor_shell")
        reports: PacketProcessorReports = module.PacketProcessorReports(config, access, self._config, self.core, meter)
        self._reports = reports
        try:
            await reports.run()
        except ConfigError as error:
            log.error("events are not reported", extra={"file": error.path, "field": error.field, "problem": error.problem})

    def _healthz(self) -> tuple[bool, dict[str, Any]]:
        return self.core.session.socket_open, self._facts()

    def _readyz(self) -> tuple[bool, dict[str, Any]]:
        return self.core.ready(now()), self._facts()

    def _facts(self) -> dict[str, Any]:
        state, session = self.core.state, self.core.session
        return {
            "name": self._config.name,
            "region": self._config.region,
            "data_plane": self._plane.name,
            "role": state.role,
            "address": to_text(state.address) if state.address else None,
            "epoch": state.epoch,
            "mobility_auth": self._config.mobility_auth,
            "mobility_socket": "open" if session.socket_open else "closed",
            "backend": session.phase.value,
            "lease_s": round(max(0.0, state.lease_until - now().mono), 3),
            "bindings": len(state.served),
            **({} if self._reports is None else {"ves": self._reports.reporter.facts()}),
        }

    # --- inputs ---

    def _feed(self, event: events.Input) -> None:
        try:
            self._driver.feed(event)
        except Exception as error:  # crash-only: a half-applied step must not go on serving
            self._fail(error)

    def _mobility_socket(self, is_open: bool) -> None:
        """HA-B is told by a heartbeat at once, the VES collector by an event."""
        self._feed(events.SocketState(is_open))
        if self._reports is not None:
            self._reports.observe()

    def _mobility_received(self, batch: list[ReceivedMobility]) -> None:
        for got in batch:
            if got.next_header == MOBILITY_HEADER:
                self._feed(events.MobilityReceived(got.source, got.destination, got.home_address_option, got.payload))
            elif got.home_address_option is not None and got.next_header == ipv6.ICMPV6 and got.payload[:1] == _PREFIX_SOLICITATION:
                self._feed(events.Icmpv6Received(got.source, got.destination, got.home_address_option, got.payload))
            elif got.home_address_option is not None:
                self._feed(events.HomeAddressOptionReceived(got.source, got.destination, got.home_address_option))

    def _read_icmpv6(self) -> None:
        for got in self._icmpv6.recv_batch():
            self._feed(events.Icmpv6Received(got.source, got.destination, None, got.payload))

    def _read_link(self, received: list[ToPacketProcessor]) -> None:
        """All that came in one piece is decided first and applied then, in fewer steps."""
        self._gathered = []
        for message in received:
            self._feed(events.LinkMessage(message))
        gathered, self._gathered = self._gathered, None
        try:
            for action in coalesce(gathered):
                self._apply(action)
        except Exception as error:  # as in _feed
            self._fail(error)

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._fail(context.get("exception") or RuntimeError(context.get("message", "event loop error")))

    def _fail(self, error: BaseException) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_exception(error)

    # --- actions ---

    def _apply(self, action: events.Action) -> None:
        if self._gathered is not None:
            self._gathered.append(action)
            return
        match action:
            case events.SendLink():
                self._link.send(action.message)
                if type(action.message) is Synced:
                    self._synced.set()
            case events.SendMobility():
                self._send_mobility(action)
            case events.RenewLease():
                self._plane.renew_lease(action.until - now().mono)
            case events.Install():
                self._plane.install(action.rows)
            case events.Defend():
                self._plane.defend(action.addresses)
            case events.Remove():
                self._plane.remove(action.home_addresses)
            case events.Linger():
                self._plane.linger(action.home_addresses)
            case events.Announce():
                self._announce(action.addresses, again=True)
            case events.StartDad():
                self._start_dad(action.address)
            case events.SendIcmpv6():
                self._send(action.source, action.destination, action.routing_home_address, ipv6.ICMPV6, action.payload)
            case events.TakeAddress():
                self._plane.set_home_agent_address(action.address, on_home_link=action.on_home_link)
            case events.AnswerAnycast():
                self._answer_anycast(set(action.addresses))
            case events.DropAddress():
                self._plane.clear_home_agent_address()
            case events.RevokeLease():
                self._plane.revoke_lease()
            case events.Connect():
                self._link.dial()
            case events.Disconnect():
                self._link.hang_up()
            case events.Log():
                log.info(action.event, extra=action.fields)
            case events.Finished():
                if self._finished is not None and not self._finished.done():
                    self._finished.set_result(None)

    def _answer_anycast(self, addresses: set[bytes]) -> None:
        interface = self._config.home_link.interface
        for address in self._anycast - addresses:
            self._icmpv6.leave_anycast(address, interface)
        for address in addresses - self._anycast:
            self._icmpv6.join_anycast(address, interface)
        self._anycast = addresses

    def _send_mobility(self, action: events.SendMobility) -> None:
        if action.tunnel is None:
            self._send(action.source, action.destination, action.routing_home_address, MOBILITY_HEADER, action.payload)
            return
        inner = ipv6.build_packet(action.source, action.destination, MOBILITY_HEADER, action.payload)
        self._send(action.source, action.tunnel, None, ipv6.IPV6_IN_IPV6, inner)

    def _send(self, source: bytes, destination: bytes, routing_home_address: bytes | None, next_header: int, payload: bytes) -> None:
        self._sender.send(ipv6.build_packet(source, destination, next_header, payload, routing_home_address=routing_home_address))

    def _announce(self, addresses: list[bytes], *, again: bool) -> None:
        state = self.core.state
        mine = [address for address in addresses if address in state.served or address in state.defended or address == state.address]
        if mine and not self._closed:
            self._announcer.announce(mine)
            if again:
                asyncio.get_running_loop().call_later(ANNOUNCE_AGAIN_S, lambda: self._announce(mine, again=False))

    def _start_dad(self, address: bytes) -> None:
        async def detect() -> None:
            assert self._detector is not None
            duplicate = await self._detector.is_duplicate(address)
            self._feed(events.DadDone(address, not duplicate))

        self._spawn(detect())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the rest; what it raises ends the process as any other error does."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _close_sockets(self) -> None:
        self._closed = True
        if self._detector is not None:
            self._detector.close()
        for closable in (self._mobility, self._icmpv6, self._sender, self._announcer, self._health):
            closable.close()


_PREFIX_SOLICITATION = bytes([icmpv6.MobilePrefixSolicitation.TYPE])


def host_id() -> str:
    """Names this machine's boot and this network namespace."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot_id}/{Path('/proc/self/ns/net').stat().st_ino}"
