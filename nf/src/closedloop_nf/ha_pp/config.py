"""The HA-PP's configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from closedloop_nf.runtime.addresses import Address
from closedloop_nf.runtime.config import FieldError, HttpConfig, LogLevel, Name, Port, PositiveMs, ProcessUser, TlsClientConfig
from closedloop_nf.ves.config import VesConfig
from closedloop_nf.wire.ipv6 import is_unicast_routable

Interface = Annotated[str, Meta(min_length=1, max_length=15, description="Network interface of this namespace.")]


class Backend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where HA-B listens for links."""

    host: Annotated[Address, Meta(description="IPv6 address of HA-B.")]
    port: Port
    tls: TlsClientConfig
    token_file: Annotated[
        Path | None, Meta(description="File with the shared secret; without it the client certificate authenticates.")
    ] = None


class HomeLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The home link, and duplicate address detection for home addresses on it (names of RFC 4862 section 5.1)."""

    interface: Interface
    address: Annotated[Address, Meta(description="Own address on the home link.")]
    dad_transmits: Annotated[int, Meta(ge=0, le=10, description="DupAddrDetectTransmits; 0 turns the detection off.")] = 1
    retrans_timer_ms: PositiveMs = 1000


class PrefixAdvertisement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When mobile nodes are told the home prefixes without asking (RFC 6275 sections 10.6.2 and 13)."""

    min_interval_s: Annotated[float, Meta(gt=0, le=86_400, description="MinMobPfxAdvInterval: no advertisement sooner than this.")] = 600.0
    max_interval_s: Annotated[
        float, Meta(gt=0, le=86_400, description="MaxMobPfxAdvInterval: after so long without one, one is planned.")
    ] = 86_400.0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One HA-PP."""

    name: Name
    region: Name
    address: Annotated[Address, Meta(description="The instance's own home agent address, on the uplink (mode per_instance).")]
    uplink_interface: Interface
    home_link: HomeLink
    backend: Backend
    health: Annotated[
        HttpConfig, Meta(description="Listener of /healthz, /readyz, /metrics; HA-B reads the process's end from its refusal.")
    ]
    role: Annotated[Literal["active", "standby"], Meta(description="A standby serves nothing until HA-B promotes it.")] = "active"
    data_plane: Annotated[Literal["auto", "ip6tnl", "seg6"], Meta(description="auto takes ip6tnl where the kernel has it.")] = "auto"
    mobility_auth: Annotated[
        Literal["rfc4285", "none"],
        Meta(
            description="rfc4285: MN-HA authentication with timestamps. none: anybody may register; foreign peers in closed networks only."
        ),
    ] = "rfc4285"
    timestamp_window_s: Annotated[
        float, Meta(gt=0, le=3600, description="How far a mobile node's clock may be off (RFC 4285 section 6).")
    ] = 7.0
    max_lifetime_s: Annotated[int, Meta(ge=4, le=262_140, description="Longest lifetime granted.")] = 3600
    prefix_advertisement: PrefixAdvertisement = PrefixAdvertisement()
    ves: Annotated[VesConfig | None, Meta(description="Events to a VES collector; nothing is reported without it.")] = None
    user: ProcessUser | None = None
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        for field, address in (("address", self.address), ("home_link.address", self.home_link.address)):
            if not is_unicast_routable(address):
                raise FieldError([field], f"{field} {address} is no global unicast address; give one that mobile nodes can reach")
        if self.address == self.home_link.address:
            raise FieldError(("address", "home_link.address"), "are the same; give two, address belongs to the uplink")
        if self.uplink_interface == self.home_link.interface:
            raise FieldError(
                ("uplink_interface", "home_link.interface"),
                "uplink_interface equals home_link.interface; name another, by which tunnels leave",
            )
