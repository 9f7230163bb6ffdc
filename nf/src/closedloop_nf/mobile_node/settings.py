"""What the core has to know; the shell makes it from the configuration file."""

from __future__ import annotations

import msgspec

from closedloop_nf.runtime.addresses import Prefix


class SecurityAssociation(msgspec.Struct, frozen=True):
    """The mobility security association with the home network (RFC 4285 section 5)."""

    spi: int
    key: bytes

    def __repr__(self) -> str:
        return f"SecurityAssociation(spi={self.spi})"


class Timers(msgspec.Struct, frozen=True):
    """Protocol constants of RFC 6275 sections 12 and 13 and RFC 4861 section 10, in seconds."""

    first_bindack_timeout_s: float = 1.5
    """InitialBindackTimeoutFirstReg: leaves the home agent time for duplicate address detection."""
    initial_bindack_timeout_s: float = 1.0
    max_bindack_timeout_s: float = 32.0
    max_update_rate: int = 3
    """Binding Updates per second to one home agent."""
    initial_dhaad_timeout_s: float = 3.0
    initial_solicit_timer_s: float = 3.0
    """Mobile Prefix Solicitation; PREFIX_ADV_TIMEOUT is the same value."""
    router_solicitation_interval_s: float = 4.0
    max_router_solicitation_interval_s: float = 60.0
    stop_timeout_s: float = 2.0


DHAAD_RETRIES = 4
PREFIX_ADV_RETRIES = 3
LIFETIME_UNIT_S = 4
"""Of the Lifetime field (RFC 6275 section 6.1.7)."""
MAX_LIFETIME_S = 0xFFFF * LIFETIME_UNIT_S
"""The lifetime field has 16 bits of 4 seconds (RFC 6275 section 6.1.7)."""


class Settings(msgspec.Struct, frozen=True):
    """One mobile node with one home address."""

    home_address: bytes
    home_prefix: Prefix
    home_agents: tuple[bytes, ...]
    """In order of preference; may be empty where `discover_home_agents` is on."""
    interfaces: tuple[str, ...]
    """In order of preference; the first that is attached carries the care-of address."""
    security: SecurityAssociation | None
    """None: no authentication (mobility_auth: none)."""
    lifetime_s: int = 600
    discover_home_agents: bool = True
    failover_after: int = 3
    """Unanswered retransmissions of a Binding Update after which the next home agent is tried."""
    alternate_care_of_address: bool = False
    link_local: bool = False
    """The L bit: home address and link-local address share the interface identifier."""
    timestamp_window_s: float = 7.0
    """How far the timestamp of a Home Agent Switch may be from our clock (RFC 4285 section 6)."""
    deregister_on_stop: bool = True
    timers: Timers = Timers()
