"""tshark as oracle: its dissectors read out of our packets what went in. All packets go into one capture, dissected once.

Where tshark 4.0 itself errs, the expectation says what it makes of the right octets: it cuts two octets off the authenticator (it takes the
option length of RFC 4285 for the whole option), reads the NTP timestamp as UNIX time, and looks for the options of a Home Agent Switch six
octets too early. It does not judge the checksum of a Mobility Header; test_scapy.py does.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Mapping
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from closedloop_nf.wire import authentication as auth
from closedloop_nf.wire import icmpv6 as icmp
from closedloop_nf.wire import ipv6
from closedloop_nf.wire import mobility as mh
from closedloop_nf.wire import mobility_options as opt
from closedloop_nf.wire import nd_options as nd

CARE_OF, HOME, AGENT, OTHER = (
    IPv6Address(text).packed for text in ("2001:db8:200::5", "2001:db8:100::5", "2001:db8:100::1", "2001:db8:100::2")
)
COOKIE = bytes.fromhex("0102030405060708")
TOKEN = bytes.fromhex("1112131415161718")
MAC = bytes.fromhex("020000000001")
LINKTYPE_RAW = 101

Expected = dict[str, str | list[str]]
"""tshark field -> value, or all its values in order."""
Case = tuple[bytes, Expected]


def text(address: bytes) -> str:
    return str(IPv6Address(address))


def mobility(message: mh.MobilityMessage, expected: Mapping[str, str | list[str]]) -> Case:
    """From the home agent through a type 2 routing header."""
    data = mh.seal(mh.build_mobility(message), AGENT, HOME)
    raw = ipv6.build_packet(AGENT, CARE_OF, 135, data, routing_home_address=HOME)
    head: Expected = {"mip6.mhtype": str(message.TYPE), "mip6.hlen": str(len(data) // 8 - 1), "mip6.proto": "59"}
    return raw, head | {"ipv6.routing.mipv6.home_address": text(HOME), "ipv6.routing.segleft": "1"} | dict(expected)


def icmpv6(message: icmp.Icmpv6Message, expected: Expected) -> Case:
    raw = ipv6.build_packet(AGENT, CARE_OF, 58, icmp.build_icmpv6(message, AGENT, CARE_OF), hop_limit=255)
    return raw, {"icmpv6.type": str(message.TYPE), "icmpv6.code": str(message.code), "icmpv6.checksum.status": "1"} | expected


def registration() -> Case:
    options = (
        opt.AlternateCareOfAddress(CARE_OF),
        opt.MobileNodeIdentifier(1, b"mn1@example.net"),
        opt.ReplayProtection(0xEE5BBA0080000000),
    )
    update = mh.BindingUpdate(513, True, True, False, True, 900, options)
    data = auth.authenticate(update, care_of_address=CARE_OF, home_address=HOME, spi=300, key=bytes(16))
    added = mh.parse_mobility(data).options[-1]
    assert isinstance(added, opt.Authentication)
    raw = ipv6.build_packet(CARE_OF, AGENT, 135, mh.seal(data, HOME, AGENT), home_address_option=HOME)
    return raw, {
        "ipv6.opt.mipv6.home_address": text(HOME),
        "ipv6.dstopts.nxt": "135",
        "mip6.mhtype": "5",
        "mip6.bu.seqnr": "513",
        "mip6.acoa.acoa": text(CARE_OF),
        "mip6.mnid.subtype": "1",
        "mip6.mnid.identifier": "mn1@example.net",
        "mip6.mseg_id.timestamp": "Sep 20, 2096 14:13:20.-2147483648 UTC",
        "mip6.auth.subtype": "1",
        "mip6.auth.mobility_spi": "300",
        "mip6.auth.auth_data": added.data[:10].hex(),
    }


def random_update(draw: random.Random) -> Case:
    a, h, link_local, k = (draw.random() < 0.5 for _ in range(4))
    sequence, lifetime, nonces = draw.randrange(65536), draw.randrange(65536), (draw.randrange(65536), draw.randrange(65536))
    address = draw.randbytes(16)
    options: list[opt.MobilityOption] = [opt.AlternateCareOfAddress(address), opt.NonceIndices(*nonces)]
    draw.shuffle(options)
    flags = {"a": a, "h": h, "l": link_local, "k": k}
    return mobility(
        mh.BindingUpdate(sequence, a, h, link_local, k, lifetime, tuple(options)),
        {f"mip6.bu.{name}_flag": str(int(value)) for name, value in flags.items()}
        | {"mip6.bu.seqnr": str(sequence), "mip6.bu.lifetime": str(lifetime), "mip6.acoa.acoa": text(address)}
        | {"mip6.ni.hni": str(nonces[0]), "mip6.ni.cni": str(nonces[1]), "mip6.nemo.bu.r_flag": "0", "mip6.bu.m_flag": "0"},
    )


def random_acknowledgement(draw: random.Random) -> Case:
    status, k, sequence, lifetime = draw.randrange(256), draw.random() < 0.5, draw.randrange(65536), draw.randrange(65536)
    interval, authenticator = draw.randrange(65536), draw.randbytes(12)
    return mobility(
        mh.BindingAcknowledgement(
            status, k, sequence, lifetime, (opt.BindingRefreshAdvice(interval), opt.BindingAuthorizationData(authenticator))
        ),
        {
            "mip6.ba.status": str(status),
            "mip6.ba.k_flag": str(int(k)),
            "mip6.ba.seqnr": str(sequence),
            "mip6.ba.lifetime": str(lifetime),
            "mip6.bra.interval": str(interval),
            "mip6.bad.auth": authenticator.hex(),
        },
    )


INVOKING = ipv6.build_packet(CARE_OF, AGENT, 59, b"")
PREFIX_FIELDS: Expected = {
    "icmpv6.opt.prefix.length": "64",
    "icmpv6.opt.prefix.flag.l": "1",
    "icmpv6.opt.prefix.flag.a": "0",
    "icmpv6.opt.prefix.flag.r": "1",
    "icmpv6.opt.prefix.valid_lifetime": "7200",
    "icmpv6.opt.prefix.preferred_lifetime": "3600",
    "icmpv6.opt.prefix": text(AGENT),
}
PREFIX = nd.PrefixInformation(AGENT, 64, True, False, True, 7200, 3600)

CASES: dict[str, Case] = {
    "refresh request": mobility(mh.BindingRefreshRequest(), {}),
    "home test init": mobility(mh.HomeTestInit(COOKIE), {"mip6.hoti.cookie": "0x" + COOKIE.hex()}),
    "care-of test init": mobility(mh.CareOfTestInit(COOKIE), {"mip6.coti.cookie": "0x" + COOKIE.hex()}),
    "home test": mobility(
        mh.HomeTest(258, COOKIE, TOKEN),
        {"mip6.hot.nindex": "258", "mip6.hot.cookie": "0x" + COOKIE.hex(), "mip6.hot.token": "0x" + TOKEN.hex()},
    ),
    "care-of test": mobility(mh.CareOfTest(258, COOKIE, TOKEN), {"mip6.cot.nindex": "258", "mip6.cot.cookie": "0x" + COOKIE.hex()}),
    "registration": registration(),
    "binding error": mobility(mh.BindingError(2, OTHER), {"mip6.be.status": "2", "mip6.be.haddr": text(OTHER)}),
    "home agent switch": mobility(
        mh.HomeAgentSwitch((AGENT, OTHER)), {"mip6.has.num_addrs": "2", "mip6.has.address": [text(AGENT), text(OTHER)]}
    ),
    "unreachable": icmpv6(icmp.DestinationUnreachable(3, INVOKING), {}),
    "packet too big": icmpv6(icmp.PacketTooBig(1460, INVOKING), {"icmpv6.mtu": "1460"}),
    "parameter problem": icmpv6(icmp.ParameterProblem(2, 42, INVOKING), {"icmpv6.pointer": "42"}),
    "router solicitation": icmpv6(
        icmp.RouterSolicitation((nd.SourceLinkLayerAddress(MAC),)), {"icmpv6.opt.src_linkaddr": "02:00:00:00:00:01"}
    ),
    "router advertisement": icmpv6(
        icmp.RouterAdvertisement(
            61,
            False,
            True,
            True,
            1800,
            30000,
            1000,
            (nd.Mtu(1500), PREFIX, nd.AdvertisementInterval(70), nd.HomeAgentInformation(10, 1801)),
        ),
        PREFIX_FIELDS
        | {
            "icmpv6.nd.ra.cur_hop_limit": "61",
            "icmpv6.nd.ra.flag.m": "0",
            "icmpv6.nd.ra.flag.o": "1",
            "icmpv6.nd.ra.flag.h": "1",
            "icmpv6.nd.ra.router_lifetime": "1800",
            "icmpv6.nd.ra.reachable_time": "30000",
            "icmpv6.nd.ra.retrans_timer": "1000",
            "icmpv6.opt.mtu": "1500",
            "icmpv6.opt.advertisement_interval": "70",
            "icmpv6.opt.home_agent_preference": "10",
            "icmpv6.opt.home_agent_lifetime": "1801",
        },
    ),
    "neighbour solicitation": icmpv6(icmp.NeighborSolicitation(HOME), {"icmpv6.nd.ns.target_address": text(HOME)}),
    "neighbour advertisement": icmpv6(
        icmp.NeighborAdvertisement(HOME, True, False, True, (nd.TargetLinkLayerAddress(MAC),)),
        {
            "icmpv6.nd.na.target_address": text(HOME),
            "icmpv6.nd.na.flag.r": "1",
            "icmpv6.nd.na.flag.s": "0",
            "icmpv6.nd.na.flag.o": "1",
            "icmpv6.opt.target_linkaddr": "02:00:00:00:00:01",
        },
    ),
    "discovery request": icmpv6(icmp.HomeAgentDiscoveryRequest(0x1234), {"icmpv6.mip6.identifier": "4660"}),
    "discovery reply": icmpv6(
        icmp.HomeAgentDiscoveryReply(0x1234, (AGENT, OTHER)),
        {"icmpv6.mip6.identifier": "4660", "icmpv6.mip6.home_agent_address": [text(AGENT), text(OTHER)]},
    ),
    "prefix solicitation": icmpv6(icmp.MobilePrefixSolicitation(0x1234), {"icmpv6.mip6.identifier": "4660"}),
    "prefix advertisement": icmpv6(
        icmp.MobilePrefixAdvertisement(0x1234, True, False, (PREFIX,)),
        PREFIX_FIELDS | {"icmpv6.mip6.identifier": "4660", "icmpv6.mip6.flag.m": "1", "icmpv6.mip6.flag.o": "0"},
    ),
}
_draw = random.Random(6275)
CASES |= {f"random update {index}": random_update(_draw) for index in range(200)}
CASES |= {f"random acknowledgement {index}": random_acknowledgement(_draw) for index in range(200)}

JUDGEMENT = ("_ws.malformed", "_ws.expert.severity")


@pytest.fixture(scope="module")
def dissected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Case -> field -> values as tshark reads them."""
    capture: Path = tmp_path_factory.mktemp("tshark") / "wire.pcap"
    records = b"".join(struct.pack("<IIII", 0, 0, len(raw), len(raw)) + raw for raw, _ in CASES.values())
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_RAW) + records)
    fields = sorted({field for _, expected in CASES.values() for field in expected}) + list(JUDGEMENT)
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]
    for field in fields:
        command += ["-e", field]
    environment = os.environ | {"TZ": "UTC", "LC_ALL": "C", "HOME": str(capture.parent)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.split("\n")[:-1]
    assert len(lines) == len(CASES)
    rows = (dict(zip(fields, (cell.split("|") if cell else [] for cell in line.split("\t")), strict=True)) for line in lines)
    return dict(zip(CASES, rows, strict=True))


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("random")])
def test_tshark_reads_what_was_built(name: str, dissected: dict[str, dict[str, list[str]]]) -> None:
    assert_reads(name, dissected)


@pytest.mark.parametrize("kind", ["random update", "random acknowledgement"])
def test_tshark_reads_two_hundred_random_ones(kind: str, dissected: dict[str, dict[str, list[str]]]) -> None:
    names = [name for name in CASES if name.startswith(kind)]
    assert len(names) == 200
    for name in names:
        assert_reads(name, dissected)


def assert_reads(name: str, dissected: dict[str, dict[str, list[str]]]) -> None:
    _, expected = CASES[name]
    row = dissected[name]
    for field, value in expected.items():
        # In an error message the invoking packet is dissected too, behind the message itself.
        seen = row[field] if isinstance(value, list) else row[field][:1]
        assert seen == (value if isinstance(value, list) else [value]), (name, field)
    assert row["_ws.malformed"] == [], name
    if name != "home agent switch":
        assert not {"6291456", "8388608"} & set(row["_ws.expert.severity"]), (name, row["_ws.expert.severity"])
