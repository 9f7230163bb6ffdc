"""What a declaration makes of a project: everything once, only what differs, and nothing that is foreign."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.hosts import hosts
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.removal import remove
from ansible_collections.closedloop.mobility.plugins.plugin_utils.openstack_project.snapshot import Limit

from .world import Cloud, declared

Change = Callable[[Cloud], Any]


def made(**changes: Any) -> Cloud:
    cloud = Cloud()
    declaration = declared(**changes)
    cloud.carry_out(declaration, cloud.plan(declaration).steps)
    return cloud


def row(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in rows if entry["name"] == name)


def test_an_empty_project_becomes_as_declared_and_then_nothing_is_to_be_done() -> None:
    cloud = Cloud()
    plan = cloud.plan(declared())
    assert not plan.problems
    assert not plan.before
    cloud.carry_out(declared(), plan.steps)
    again = cloud.plan(declared())
    assert not again.steps
    assert not again.problems
    assert again.before == again.after
    assert not again.undeclared


def test_everything_needed_is_made_first() -> None:
    steps = Cloud().plan(declared()).steps
    order = {step.key: number for number, step in enumerate(steps)}
    needed = {(need, step.key) for step in steps for need in step.needs if need in order}
    assert ("network/mip6-home", "port/mip6-ha-a-home") in needed
    assert ("port/mip6-ha-a-home", "server/mip6-ha-a") in needed
    assert ("server_group/mip6-agents", "server/mip6-ha-a") in needed


def test_mobile_ipv6_is_let_in() -> None:
    rules = Cloud().plan(declared()).after["security_group/mip6-mobile"]["rules"]
    assert {f"ingress IPv6 {protocol}" for protocol in ("135", "41", "43", "60", "50", "ipv6-icmp")} <= set(rules)
    assert "ingress IPv6 tcp 22-22 of 2001:db8::/32" in rules


@pytest.mark.parametrize("seed", range(30))
def test_a_run_that_was_killed_anywhere_is_gone_on_with(seed: int) -> None:
    """Steps are carried out in an order that their needs allow, up to some point; the next run does the rest and no more."""
    chance = random.Random(seed)
    cloud = Cloud()
    for _round in range(3):
        waiting = list(cloud.plan(declared()).steps)
        for _number in range(chance.randrange(len(waiting) + 1)):
            keys = {step.key for step in waiting}
            step = chance.choice([step for step in waiting if not step.needs & keys])
            waiting.remove(step)
            cloud.carry_out(declared(), [step])
    cloud.carry_out(declared(), cloud.plan(declared()).steps)
    plan = cloud.plan(declared())
    assert not plan.steps
    assert len(cloud.found.servers) == 2
    assert {server["status"] for server in cloud.found.servers} == {"ACTIVE"}


def delete_port(cloud: Cloud, name: str) -> None:
    """As neutron does: a floating address of it stays, and is of nothing."""
    gone = row(cloud.found.ports, name)
    cloud.found.ports.remove(gone)
    for address in cloud.found.floating_ips:
        if address["port_id"] == gone["id"]:
            address["port_id"] = None


def test_the_floating_address_of_a_port_that_was_deleted_is_used_again() -> None:
    cloud = made()
    delete_port(cloud, "mip6-ha-a-home")
    cloud.carry_out(declared(), cloud.plan(declared()).steps)
    assert len(cloud.found.floating_ips) == 2
    assert not cloud.plan(declared()).steps


DRIFT: dict[str, tuple[Change, str, str]] = {
    "a port was deleted": (
        lambda cloud: delete_port(cloud, "mip6-ha-a-visited"),
        "port/mip6-ha-a-visited create",
        "server/mip6-ha-a/port/mip6-ha-a-visited attach",
    ),
    "a rule was deleted": (
        lambda cloud: cloud.found.security_groups[0]["security_group_rules"].pop(0),
        "security_group/mip6-mobile change",
        "",
    ),
    "allowed addresses were taken away": (
        lambda cloud: row(cloud.found.ports, "mip6-ha-b-home").update(allowed_address_pairs=[]),
        "port/mip6-ha-b-home change",
        "",
    ),
    "a server was deleted": (
        lambda cloud: cloud.found.servers.remove(row(cloud.found.servers, "mip6-ha-b")),
        "server/mip6-ha-b create",
        "",
    ),
    "a server was stopped": (
        lambda cloud: row(cloud.found.servers, "mip6-ha-b").update(status="SHUTOFF"),
        "server/mip6-ha-b/start start",
        "",
    ),
    "a server's roles were changed": (
        lambda cloud: row(cloud.found.servers, "mip6-ha-b")["metadata"].update(closedloop_roles="x"),
        "server/mip6-ha-b/metadata change",
        "",
    ),
    "the router lost its interface": (
        lambda cloud: setattr(cloud.found, "ports", [port for port in cloud.found.ports if "router" not in port["device_owner"]]),
        "router/mip6-out/interfaces change",
        "",
    ),
    "port security was switched on": (
        lambda cloud: row(cloud.found.networks, "mip6-visited").update(is_port_security_enabled=True),
        "network/mip6-visited change",
        "",
    ),
    "a floating address was given back": (
        lambda cloud: cloud.found.floating_ips.pop(0),
        "floating_ip/mip6-ha-a-home create",
        "",
    ),
}


@pytest.mark.parametrize("what", DRIFT)
def test_drift_is_seen_and_repaired_by_these_steps_alone(what: str) -> None:
    change, *expected = DRIFT[what]
    cloud = made()
    change(cloud)
    plan = cloud.plan(declared())
    assert {f"{step.key} {step.verb}" for step in plan.steps if step.verb != "wait for"} == {step for step in expected if step}
    assert plan.before != plan.after
    cloud.carry_out(declared(), plan.steps)
    again = cloud.plan(declared())
    assert not again.steps
    assert not again.problems


def test_a_server_that_failed_is_made_anew() -> None:
    cloud = made()
    failed = row(cloud.found.servers, "mip6-ha-a")
    failed.update(status="ERROR")
    plan = cloud.plan(declared())
    assert [step.verb for step in plan.steps if step.kind == "server"] == ["remove", "create", "wait for"]
    cloud.carry_out(declared(), plan.steps)
    assert row(cloud.found.servers, "mip6-ha-a")["id"] != failed["id"]
    assert not cloud.plan(declared()).steps


def on_public(**port: Any) -> dict[str, Any]:
    """A server on a network that is somebody else's, where a member of the project may give neither allowed addresses nor port security."""
    server = {"name": "ha", "roles": ["home_agent_hosts"], "image": "debian-12", "flavor": "m1.small", "server_group": "agents"}
    servers = [server | {"ports": [{"network": "public"} | port]}]
    return {"networks": [], "routers": [], "floating_network": "", "servers": servers}


ONLY_THE_OWNER_S = {"allowed_address_pairs", "is_port_security_enabled"}


def port_arguments(cloud: Cloud, changes: dict[str, Any]) -> dict[str, Any]:
    return next(step.arguments for step in cloud.plan(declared(**changes)).steps if step.kind == "port")


@pytest.mark.parametrize("protected", [True, False])
def test_a_port_on_somebody_else_s_network_is_as_that_is_unless_declared_otherwise(protected: bool) -> None:
    cloud = Cloud()
    cloud.found.networks[0]["is_port_security_enabled"] = protected
    assert not ONLY_THE_OWNER_S & port_arguments(cloud, on_public()).keys()
    assert port_arguments(cloud, on_public(port_security=not protected))["is_port_security_enabled"] is not protected
    cloud.carry_out(declared(**on_public()), cloud.plan(declared(**on_public())).steps)
    assert not cloud.plan(declared(**on_public())).steps


def test_only_what_differs_of_a_port_takes_the_network_s_owner() -> None:
    cloud = made(**on_public(allowed_addresses=["2001:db8:100::/64"]))
    port = row(cloud.found.ports, "mip6-ha-public")
    assert [pair["ip_address"] for pair in port["allowed_address_pairs"]] == ["2001:db8:100::/64"]
    assert port_arguments(cloud, on_public())["allowed_address_pairs"] == []
    port.update(security_group_ids=["of somebody else"])
    assert not ONLY_THE_OWNER_S & port_arguments(cloud, on_public(allowed_addresses=["2001:db8:100::/64"])).keys()


PROBLEMS: dict[str, tuple[Change, dict[str, Any], str]] = {
    "foreign network": (
        lambda cloud: cloud.found.networks.append(cloud.found.networks[0] | {"id": "n9", "name": "mip6-home", "project_id": "p1"}),
        {},
        "cloud lab: openstack_project_networks[home]: there is a network mip6-home that deployment mip6 did not make",
    ),
    "no image": (
        lambda cloud: cloud.found.images.clear(),
        {},
        "openstack_project_servers[ha-a].image: there is no image 'debian-12', neither in openstack_project_images nor in the cloud",
    ),
    "no flavor": (
        lambda cloud: cloud.found.flavors.clear(),
        {},
        "openstack_project_servers[ha-a].flavor: there is no flavor 'm1.small'",
    ),
    "flavor too small": (
        lambda cloud: cloud.found.images[0].update(min_ram=1024),
        {},
        "'m1.small' has 512 MiB of memory and 1 GiB of disk, image 'debian-12' needs 1024 and 0",
    ),
    "no external network": (
        lambda cloud: cloud.found.networks.clear(),
        {},
        "openstack_project_routers[out].external_network: network 'public' is not there; the cloud's external networks: none",
    ),
    "quota": (
        lambda cloud: cloud.found.limits.update(instances=Limit(10, 9)),
        {},
        "cloud lab: quota instances: 9 of 10 are used and 2 more are needed; have it raised to 11, or remove something",
    ),
    "quota of a group": (
        lambda cloud: cloud.found.limits.update(server_group_members=Limit(1, 0)),
        {},
        "quota server_group_members: 2 servers are in openstack_project_server_groups[agents] and 1 may be",
    ),
    "no such network": (
        lambda cloud: None,
        {"networks": [], "routers": [], "access_network": ""},
        "openstack_project_servers[ha-a].ports[home].network: there is no network 'home'",
    ),
}


@pytest.mark.parametrize("what", PROBLEMS)
def test_what_stands_in_the_way_is_told_with_field_and_remedy(what: str) -> None:
    change, other, message = PROBLEMS[what]
    cloud = Cloud()
    change(cloud)
    plan = cloud.plan(declared(**other))
    assert message in "; ".join(plan.problems)


def test_what_cannot_be_changed_is_refused() -> None:
    cloud = made()
    row(cloud.found.subnets, "mip6-home-6")["cidr"] = "2001:db8:200::/64"
    problems = cloud.plan(declared()).problems
    assert len(problems) == 1
    assert "subnets[home-6].cidr is '2001:db8:100::/64', and subnet mip6-home-6 was made with '2001:db8:200::/64'" in problems[0]


def test_what_is_declared_no_more_is_told_and_left() -> None:
    cloud = made()
    fewer = declared(servers=[])
    plan = cloud.plan(fewer)
    assert not plan.steps
    assert {"server/mip6-ha-a", "server/mip6-ha-b", "port/mip6-ha-a-home"} <= set(plan.undeclared)


def test_what_cloud_init_is_given_is_in_no_state() -> None:
    plan = Cloud().plan(declared())
    assert "s3cr3t" not in repr([plan.before, plan.after, plan.problems, [step.shown() for step in plan.steps]])


def test_all_that_was_made_is_removed_and_nothing_else() -> None:
    cloud = made()
    cloud.found.ports.append(
        row(cloud.found.ports, "mip6-ha-a-home") | {"id": "foreign", "name": "foreign", "description": "", "network_id": "n"}
    )
    cloud.found.keypairs.append({"name": "mip6x-key", "public_key": "ssh-ed25519 BBBB"})
    cloud.found.keypairs.append({"name": "mip6-mine", "public_key": "ssh-ed25519 CCCC"})
    cloud.found.server_groups.append({"id": "g9", "name": "mip6-others", "policy": "affinity", "member_ids": ["of somebody else"]})
    plan = remove(declared(), cloud.found, server_timeout_s=60)
    assert not plan.problems
    removed = {step.key for step in plan.steps}
    for name in ("networks", "routers", "security_groups", "floating_ips", "servers", "server_groups"):
        own = [entry for entry in getattr(cloud.found, name) if entry["id"] not in ("n-public", "g9")]
        assert {entry["id"] for entry in own} <= {step.part for step in plan.steps}, name
    assert not {"foreign", "g9", "mip6-mine"} & {step.part for step in plan.steps}
    assert not any("mip6x" in key for key in removed)
    order = {step.part: step for step in plan.steps}
    network = order[row(cloud.found.networks, "mip6-home")["id"]]
    assert {f"port/mip6-ha-a-home/{row(cloud.found.ports, 'mip6-ha-a-home')['id']}"} <= network.needs


def test_a_foreign_port_on_an_own_network_is_told_before_anything_is_removed() -> None:
    cloud = made()
    own = row(cloud.found.networks, "mip6-home")["id"]
    cloud.found.ports.append(
        row(cloud.found.ports, "mip6-ha-a-home")
        | {"id": "foreign", "name": "guest", "description": "", "network_id": own, "device_id": "d9", "device_owner": "compute:nova"}
    )
    problems = remove(declared(), cloud.found, server_timeout_s=60).problems
    assert problems == ["cloud lab: port guest on network mip6-home is not of deployment mip6, but of compute:nova d9; remove it first"]


def test_servers_are_hosts_at_their_floating_addresses() -> None:
    cloud = made()
    told = hosts(declared(), cloud.found)
    assert [(host["name"], host["roles"]) for host in told] == [("mip6-ha-a", ["home_agent_hosts"]), ("mip6-ha-b", ["home_agent_hosts"])]
    assert all(host["address"].startswith("203.0.113.") for host in told)
    inside = hosts(declared(floating_network=""), made(floating_network="").found)
    assert inside[0]["address"] == "192.0.2.10"
