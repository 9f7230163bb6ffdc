"""Claims about what stands between the core and the outside: advertisements in, events and status out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from closedloop_nf.mobile_node.actions import Emit
from closedloop_nf.mobile_node.advertisement import router_advertised
from closedloop_nf.mobile_node.event_stream import EventStream
from closedloop_nf.mobile_node.inputs import RouterAdvertised
from closedloop_nf.mobile_node.status import is_ready, metrics, status
from closedloop_nf.runtime.addresses import from_text
from closedloop_nf.runtime.clock import Instant
from closedloop_nf.runtime.config import ConfigError
from closedloop_nf.wire.icmpv6 import RouterAdvertisement, build_icmpv6
from closedloop_nf.wire.nd_options import AdvertisementInterval, NdOption, PrefixInformation

from tests.unit.nf.mobile_node.harness import AGENT, HOME, HOME_PREFIX, ROUTER1, VISITED1, Node, acknowledgement, last_update

ALL_NODES = from_text("ff02::1")


def advertisement(*options: NdOption, lifetime_s: int = 1800) -> bytes:
    return build_icmpv6(RouterAdvertisement(64, False, False, False, lifetime_s, 0, 0, options), ROUTER1, ALL_NODES)


def prefix(address: bytes, *, valid_s: int = 3600, on_link: bool = True, autonomous: bool = True) -> PrefixInformation:
    return PrefixInformation(address, 64, on_link, autonomous, True, valid_s, valid_s)


def test_advertisement_gives_prefixes_lifetime_and_interval() -> None:
    seen = router_advertised("eth0", ROUTER1, advertisement(prefix(VISITED1.address), AdvertisementInterval(70)))
    assert seen == RouterAdvertised("eth0", ROUTER1, 1800, (VISITED1,), 0.07)


def test_router_address_in_a_prefix_is_cut_off() -> None:
    seen = router_advertised("eth0", ROUTER1, advertisement(prefix(HOME_PREFIX.address[:15] + b"\x01")))
    assert seen is not None
    assert seen.prefixes == (HOME_PREFIX,)


def test_prefix_that_gives_nothing_is_left_out() -> None:
    seen = router_advertised(
        "eth0", ROUTER1, advertisement(prefix(VISITED1.address, valid_s=0), prefix(HOME_PREFIX.address, on_link=False, autonomous=False))
    )
    assert seen is not None
    assert seen.prefixes == ()


@pytest.mark.parametrize("router", [from_text("2001:db8::1"), from_text("ff02::1")])
def test_advertisement_from_no_link_local_address_is_none(router: bytes) -> None:
    assert router_advertised("eth0", router, advertisement(prefix(VISITED1.address))) is None


def test_octets_that_are_no_advertisement_are_none() -> None:
    assert router_advertised("eth0", ROUTER1, b"\x86\x00\x00\x00") is None
    assert router_advertised("eth0", ROUTER1, b"\x85" + bytes(7)) is None


def test_event_is_one_json_line_with_both_clocks_and_text_addresses(tmp_path: Path) -> None:
    file = tmp_path / "events"
    for _ in range(2):
        stream = EventStream(file)
        stream.write(
            Emit(Instant(12.345678901, 1.5), "bound", {"home_agent": AGENT, "home_agents": [AGENT], "sequence": 7, "prefix": None})
        )
        stream.close()
    lines = file.read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0]) == {
        "mono_ns": 12345678901,
        "wall": 1.5,
        "name": "bound",
        "home_agent": "2001:db8:a0::1",
        "home_agents": ["2001:db8:a0::1"],
        "sequence": 7,
        "prefix": None,
    }


def test_event_file_that_cannot_be_had_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="events"):
        EventStream(tmp_path / "none" / "events")


def test_status_follows_the_registration() -> None:
    node = Node()
    assert status(node.core, HOME, node.now)["location"] == "detached"
    assert not is_ready(node.core)
    update = last_update(node.visit1())
    facts = status(node.core, HOME, node.now)
    assert (facts["location"], facts["bound"], facts["registering"]) == ("away", False, "2001:db8:a0::1")
    node.feed(acknowledgement(update))
    facts = status(node.core, HOME, node.now)
    assert (facts["bound"], facts["home_agent"], facts["care_of_address"]) == (True, "2001:db8:a0::1", "2001:db8:1::5")
    assert facts["remaining_s"] == 600
    assert is_ready(node.core)
    json.dumps(facts)


def test_at_home_is_ready_when_nothing_is_left_to_delete() -> None:
    node = Node().bound()
    update = last_update(node.go_home())
    assert not is_ready(node.core)
    node.feed(acknowledgement(update))
    assert is_ready(node.core)
    assert status(node.core, HOME, node.now)["location"] == "home"


def test_metrics_count_by_event() -> None:
    node = Node().bound()
    node.core.counters["switch_replayed"] += 2
    text = metrics(node.core, {"truncated": 3}, {"dropped_not_home_agent": 4}).decode()
    assert "mobile_node_bound 1.0" in text
    assert 'mobile_node_mobility_total{event="switch_replayed"} 2.0' in text
    assert 'mobile_node_mobility_total{event="truncated"} 3.0' in text
    assert 'mobile_node_kernel_total{event="dropped_not_home_agent"} 4.0' in text
