"""The configuration of `ha-pp`: what is wrong is named, with the remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from closedloop_nf.ha_pp.config import Config
from closedloop_nf.runtime.config import ConfigError, parse

from tests.unit.nf.ha_pp.harness import AGENT, HOME_LINK

GOOD: dict[str, Any] = {
    "name": "ha-pp-a",
    "region": "a",
    "address": "2001:db8:a::1",
    "uplink_interface": "up0",
    "home_link": {"interface": "home0", "address": "2001:db8:40::a"},
    "backend": {"host": "2001:db8:b::1", "port": 7000, "tls": {"ca": "ca.pem"}},
    "health": {"address": "2001:db8:a::1", "port": 9000},
}


def test_the_least_configuration_is_an_active_one_that_demands_authentication() -> None:
    config = parse(json.dumps(GOOD), Config)
    assert (config.address, config.home_link.address) == (AGENT, HOME_LINK)
    assert (config.role, config.mobility_auth, config.data_plane) == ("active", "rfc4285", "auto")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"address": "fe80::1"}, "address"),
        ({"address": "ff02::1"}, "address"),
        ({"address": "2001:db8:40::a"}, "address, home_link.address"),
        ({"home_link": {"interface": "home0", "address": "::1"}}, "home_link.address"),
        ({"uplink_interface": "home0"}, "uplink_interface, home_link.interface"),
        ({"uplink_interface": "a-name-too-long-for-linux"}, "uplink_interface"),
        ({"role": "leader"}, "role"),
        ({"mobility_auth": "ipsec"}, "mobility_auth"),
        ({"max_lifetime_s": 3}, "max_lifetime_s"),
        ({"max_lifetime_s": "3600"}, "max_lifetime_s"),
        ({"timestamp_window_s": 0}, "timestamp_window_s"),
        ({"home_link": {"interface": "home0", "address": "2001:db8:40::a", "dad_transmits": -1}}, "home_link.dad_transmits"),
        ({"backend": {"host": "2001:db8:b::1", "port": 0, "tls": {"ca": "ca.pem"}}}, "backend.port"),
        ({"surprise": True}, "surprise"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as found:
        parse(json.dumps(GOOD | change), Config)
    assert found.value.field == named
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(ConfigError) as found:
        parse(json.dumps({field: value for field, value in GOOD.items() if field != missing}), Config)
    assert missing in str(found.value)
