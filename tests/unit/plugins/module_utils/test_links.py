"""closedloop.mobility.netns_link against a kernel in memory."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import links, rtnetlink
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

from .fake_kernel import FakeKernel, install

ETH0: dict[str, Any] = {
    "namespace": "h",
    "name": "eth0",
    "link": "access1",
    "addresses": ["2001:DB8:1::10/64"],
    "routes": [{"to": "default", "via": "2001:db8:1::1"}],
    "sysctls": {"accept_ra": False},
}


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    fake = install(monkeypatch)
    for name in ("fabric", "h"):
        fake.add(name)
    return fake


def _run(*interfaces: dict[str, Any], state: str = "present", check_mode: bool = False) -> Any:
    return links.run({"fabric": "fabric", "interfaces": list(interfaces), "state": state}, check_mode=check_mode)


def test_an_interface_is_made_on_its_link_with_addresses_routes_and_sysctls(kernel: FakeKernel) -> None:
    assert _run(ETH0).changed
    host = kernel.namespaces["h"]
    index = host.links["eth0"].index
    assert host.links["eth0"].up
    assert host.addresses[index] == {"2001:db8:1::10/64"}
    assert host.routes[index] == {("::/0", "2001:db8:1::1")}
    assert host.sysctls == {"net.ipv6.conf.eth0.accept_ra": "0"}
    assert "access1" in kernel.namespaces["fabric"].links


def test_sysctls_are_set_before_the_interface_is_up(kernel: FakeKernel) -> None:
    _run(ETH0)
    assert kernel.log.index("h: net.ipv6.conf.eth0.accept_ra=0") < kernel.log.index("up h/eth0")


def test_a_second_run_changes_nothing(kernel: FakeKernel) -> None:
    _run(ETH0)
    kernel.log.clear()
    outcome = _run(ETH0)
    assert not outcome.changed
    assert "diff" not in outcome.result(diff=True)
    assert kernel.log == []


def test_check_mode_predicts_and_does_nothing_also_before_there_are_namespaces(kernel: FakeKernel) -> None:
    kernel.namespaces.clear()
    outcome = _run(ETH0, check_mode=True)
    assert outcome.changed
    assert outcome.result(diff=True)["diff"]["after"]["h/eth0"]["link"] == "access1"
    assert kernel.log == []


def test_without_namespaces_the_error_names_the_one_that_is_missing(kernel: FakeKernel) -> None:
    del kernel.namespaces["h"]
    with pytest.raises(MobilityError, match="no network namespace 'h'"):
        _run(ETH0)


def test_another_link_moves_the_interface_and_leaves_the_rest(kernel: FakeKernel) -> None:
    _run(ETH0)
    addresses = dict(kernel.namespaces["h"].addresses)
    kernel.log.clear()
    outcome = _run({"namespace": "h", "name": "eth0", "link": "access2"})
    assert kernel.log == ["plug h/eth0 into access2", "up h/eth0"]
    assert kernel.namespaces["h"].addresses == addresses
    diff = outcome.result(diff=True)["diff"]
    assert (diff["before"]["h/eth0"]["link"], diff["after"]["h/eth0"]["link"]) == ("access1", "access2")


def test_a_roaming_interface_keeps_its_link(kernel: FakeKernel) -> None:
    roaming = {"namespace": "h", "name": "eth0", "link": "access1", "roaming": True}
    assert _run(roaming).changed
    _run({"namespace": "h", "name": "eth0", "link": "access2"})
    assert not _run(roaming).changed


def test_an_address_that_is_no_longer_wanted_goes_and_one_not_asked_about_stays(kernel: FakeKernel) -> None:
    _run(ETH0)
    _run({**ETH0, "addresses": ["2001:db8:1::11/64"]})
    index = kernel.namespaces["h"].links["eth0"].index
    assert kernel.namespaces["h"].addresses[index] == {"2001:db8:1::11/64"}
    _run({key: value for key, value in ETH0.items() if key != "addresses"})
    assert kernel.namespaces["h"].addresses[index] == {"2001:db8:1::11/64"}


def test_an_interface_that_went_down_comes_up_again(kernel: FakeKernel) -> None:
    _run(ETH0)
    host = kernel.namespaces["h"]
    host.links["eth0"] = rtnetlink.Link("eth0", host.links["eth0"].index, "veth", False, 1500, 0, host.links["eth0"].peer_index)
    assert _run(ETH0).changed
    assert host.links["eth0"].up


def test_someone_elses_interface_of_that_name_is_not_touched(kernel: FakeKernel) -> None:
    kernel.namespaces["h"].links["eth0"] = rtnetlink.Link("eth0", 77, "veth", True, 1500, 0, 78)
    with pytest.raises(MobilityError, match="h/eth0: an interface of this name is there that this module did not make"):
        _run(ETH0)
    assert kernel.log == []


def test_absent_deletes_what_is_there(kernel: FakeKernel) -> None:
    _run(ETH0)
    gone = {"namespace": "h", "name": "eth0"}
    assert _run(gone, state="absent", check_mode=True).changed
    assert "eth0" in kernel.namespaces["h"].links
    assert _run(gone, state="absent").changed
    assert not _run(gone, state="absent").changed
    assert not _run({"namespace": "never-was", "name": "eth0"}, state="absent").changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addresses": ["10.0.0.1/8"]}, "address '10.0.0.1/8' is not an IPv6 address with prefix length"),
        ({"routes": [{"to": "everywhere", "via": "2001:db8:1::1"}]}, "route to 'everywhere' is not an IPv6 prefix"),
        ({"routes": [{"to": "default", "via": "router"}]}, "route via 'router' is not an IPv6 address"),
        ({"mtu": 1279}, "mtu 1279 is not valid; IPv6 needs 1280"),
        ({"name": "much-too-long-for-linux"}, "name is not valid"),
        ({"link": ""}, "link '' is not valid"),
        ({"link": "../x"}, "link '../x' is not valid"),
        ({"namespace": "a/b"}, "namespace name 'a/b' is not valid"),
    ],
)
def test_a_wrong_value_stops_before_anything_changes(kernel: FakeKernel, change: dict[str, Any], message: str) -> None:
    with pytest.raises(MobilityError, match=message.replace("(", r"\(")):
        _run(ETH0 | {"namespace": "fabric", "name": "other"}, ETH0 | change)
    assert kernel.log == []


def test_an_interface_named_twice_is_refused(kernel: FakeKernel) -> None:
    with pytest.raises(MobilityError, match="h/eth0 is named more than once"):
        _run(ETH0, ETH0)


def test_port_names_fit_the_kernel_and_differ() -> None:
    ports = {links.interface({"namespace": f"lab-host-{number}", "name": "eth0", "link": "x"}, present=True).port for number in range(500)}
    assert len(ports) == 500
    assert all(len(port) <= 15 for port in ports)


def test_a_rate_limits_both_ends_once_and_is_removed_with_zero(kernel: FakeKernel) -> None:
    assert _run({**ETH0, "rate_mbit_per_s": 1000}).changed
    assert [list(kernel.namespaces[name].rates.values()) for name in ("h", "fabric")] == [[1000], [1000]]
    kernel.log.clear()
    assert not _run({**ETH0, "rate_mbit_per_s": 1000}).changed
    assert not _run(ETH0).changed, "without a rate the limit stays"
    assert kernel.log == []
    kernel.namespaces["fabric"].rates.clear()
    outcome = _run({**ETH0, "rate_mbit_per_s": 1000})
    assert outcome.before["h/eth0"]["rate_mbit_per_s"] == [1000, 0], "one direction was not limited any more"
    assert _run({**ETH0, "rate_mbit_per_s": 0}, check_mode=True).changed
    assert _run({**ETH0, "rate_mbit_per_s": 0}).changed
    assert [kernel.namespaces[name].rates for name in ("h", "fabric")] == [{}, {}]


@pytest.mark.parametrize("rate", [-1, 30_001])
def test_a_rate_that_cannot_be_is_refused(kernel: FakeKernel, rate: int) -> None:
    with pytest.raises(MobilityError, match="use 1 to 30000, or 0 for no limit"):
        _run({**ETH0, "rate_mbit_per_s": rate})
