"""The mobile node's configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from closedloop_nf.mobile_node.settings import MAX_LIFETIME_S, SecurityAssociation, Settings, Timers
from closedloop_nf.runtime.addresses import Address, Prefix
from closedloop_nf.runtime.config import FieldError, HttpConfig, LogLevel, PositiveMs, ProcessUser, read_key
from closedloop_nf.wire.ipv6 import is_unicast_routable

Interface = Annotated[str, Meta(min_length=1, max_length=15, description="Network interface of this namespace.")]

Spi = Annotated[int, Meta(ge=256, le=0xFFFFFFFF, description="Index of the mobility security association, 256 or more.")]


class TimersConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Protocol constants (RFC 6275 sections 12 and 13). The defaults are the RFC's."""

    first_bindack_timeout_ms: Annotated[
        PositiveMs, Meta(description="InitialBindackTimeoutFirstReg: wait for the first acknowledgement, which takes the home agent a DAD.")
    ] = 1500
    initial_bindack_timeout_ms: Annotated[PositiveMs, Meta(description="INITIAL_BINDACK_TIMEOUT; doubles with every retransmission.")] = (
        1000
    )
    max_bindack_timeout_ms: Annotated[PositiveMs, Meta(description="MAX_BINDACK_TIMEOUT.")] = 32_000
    max_update_rate: Annotated[int, Meta(ge=1, le=1000, description="MAX_UPDATE_RATE: Binding Updates per second to one home agent.")] = 3
    initial_dhaad_timeout_ms: Annotated[PositiveMs, Meta(description="INITIAL_DHAAD_TIMEOUT.")] = 3000
    initial_solicit_timer_ms: Annotated[PositiveMs, Meta(description="INITIAL_SOLICIT_TIMER of mobile prefix solicitations.")] = 3000
    router_solicitation_interval_ms: Annotated[
        PositiveMs, Meta(description="RTR_SOLICITATION_INTERVAL (RFC 4861 section 10); doubles until a router is heard.")
    ] = 4000
    stop_timeout_ms: Annotated[PositiveMs, Meta(description="How long a clean stop waits for the home agent.")] = 2000

    def __post_init__(self) -> None:
        if self.max_bindack_timeout_ms < max(self.first_bindack_timeout_ms, self.initial_bindack_timeout_ms):
            raise FieldError(
                ("max_bindack_timeout_ms", "first_bindack_timeout_ms", "initial_bindack_timeout_ms"),
                "max_bindack_timeout_ms is less than the initial time-outs; raise it or lower them",
            )


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mobile node with one home address."""

    home_address: Annotated[Address, Meta(description="The permanent address.")]
    home_prefix: Annotated[Prefix, Meta(description="Prefix of the home link; its advertisement tells that the node is at home.")]
    interfaces: Annotated[list[Interface], Meta(min_length=1, description="Interfaces to roam with, most preferred first.")]
    home_agents: Annotated[
        list[Address], Meta(description="Home agents, most preferred first; may be empty with discover_home_agents.")
    ] = []
    discover_home_agents: Annotated[
        bool, Meta(description="Ask the home network (RFC 6275 section 11.4.1) where none is known or all fail.")
    ] = True
    mobility_auth: Annotated[
        Literal["rfc4285", "none"],
        Meta(
            description="rfc4285: MN-HA authentication with timestamps; needs spi and key_file. none: for foreign peers in closed networks."
        ),
    ] = "rfc4285"
    spi: Spi | None = None
    key_file: Annotated[Path | None, Meta(description="File with its key in hexadecimal; not readable by others.")] = None
    timestamp_window_s: Annotated[
        float, Meta(gt=0, le=3600, description="How far the time in a Home Agent Switch may be off (RFC 4285 section 6).")
    ] = 7.0
    lifetime_s: Annotated[int, Meta(ge=8, le=MAX_LIFETIME_S, description="Binding lifetime to ask for; the field counts units of 4 s.")] = (
        600
    )
    failover_after_retransmissions: Annotated[
        int, Meta(ge=0, le=20, description="Unanswered retransmissions after which the next home agent is tried.")
    ] = 3
    alternate_care_of_address: Annotated[
        bool, Meta(description="Always put the Alternate Care-of Address option into Binding Updates (RFC 6275 section 6.2.5).")
    ] = False
    link_local: Annotated[bool, Meta(description="Set the L bit: home address and link-local address share the interface identifier.")] = (
        False
    )
    deregister_on_stop: Annotated[bool, Meta(description="Delete the binding at the home agent when stopped by SIGTERM.")] = True
    timers: TimersConfig = TimersConfig()
    data_plane: Annotated[Literal["auto", "ip6tnl", "seg6"], Meta(description="auto takes ip6tnl where the kernel has it.")] = "auto"
    events: Annotated[Path | None, Meta(description="File that gets one JSON line per event, appended.")] = None
    http: Annotated[HttpConfig | None, Meta(description="Listener of /healthz, /readyz, /metrics, /status; none without it.")] = None
    user: ProcessUser | None = None
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        if not self.home_prefix.contains(self.home_address):
            raise FieldError(("home_address", "home_prefix"), "home_address lies outside home_prefix; correct one of them")
        if not is_unicast_routable(self.home_address):
            raise FieldError(["home_address"], "home_address is not a routable unicast address; give a global or unique local one")
        for index, agent in enumerate(self.home_agents):
            if not is_unicast_routable(agent):
                raise FieldError([f"home_agents[{index}]"], f"{agent} is not a routable unicast address; give a global or unique local one")
        if self.home_address in self.home_agents:
            raise FieldError(("home_agents", "home_address"), "home_agents holds the home address; name the home agents' own addresses")
        if not self.home_agents and not self.discover_home_agents:
            raise FieldError(
                ("home_agents", "discover_home_agents"),
                "no home agent is named and none is looked for; name one or turn discovery on",
            )
        if self.home_prefix.length > 121:
            raise FieldError(
                ["home_prefix"], "home_prefix is longer than 121 bits and has no anycast addresses; give the home link's prefix, like a /64"
            )
        for field, values in (("interfaces", self.interfaces), ("home_agents", self.home_agents)):
            if len(set(values)) != len(values):
                raise FieldError([field], f"{field} names one twice; name each once")
        if (self.mobility_auth == "rfc4285") != (self.spi is not None and self.key_file is not None):
            raise FieldError(
                ("mobility_auth", "spi", "key_file"),
                "mobility_auth rfc4285 needs spi and key_file, none has neither; give both or set mobility_auth: none",
            )


def settings(config: Config) -> Settings:
    """What the core has to know. Reads the key; raises ConfigError."""
    timers = config.timers
    security = None
    if config.spi is not None and config.key_file is not None:
        security = SecurityAssociation(config.spi, read_key(config.key_file, "key_file"))
    return Settings(
        home_address=bytes(config.home_address),
        home_prefix=config.home_prefix,
        home_agents=tuple(bytes(agent) for agent in config.home_agents),
        interfaces=tuple(config.interfaces),
        security=security,
        lifetime_s=config.lifetime_s // 4 * 4,
        discover_home_agents=config.discover_home_agents,
        failover_after=config.failover_after_retransmissions,
        alternate_care_of_address=config.alternate_care_of_address,
        link_local=config.link_local,
        timestamp_window_s=config.timestamp_window_s,
        deregister_on_stop=config.deregister_on_stop,
        timers=Timers(
            first_bindack_timeout_s=timers.first_bindack_timeout_ms / 1000,
            initial_bindack_timeout_s=timers.initial_bindack_timeout_ms / 1000,
            max_bindack_timeout_s=timers.max_bindack_timeout_ms / 1000,
            max_update_rate=timers.max_update_rate,
            initial_dhaad_timeout_s=timers.initial_dhaad_timeout_ms / 1000,
            initial_solicit_timer_s=timers.initial_solicit_timer_ms / 1000,
            router_solicitation_interval_s=timers.router_solicitation_interval_ms / 1000,
            stop_timeout_s=timers.stop_timeout_ms / 1000,
        ),
    )
