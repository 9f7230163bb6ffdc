"""A scripted home agent for tests: raw sockets, `ip` for the tunnel, JSON lines out, JSON commands in.

    home_agent.py AGENT AGENT2 HOME_ADDRESS SPI KEY

It serves both addresses with one binding. Commands, one JSON object per line on stdin:
    {"behave": {"<agent>": "<how>"}}     how: "accept", "silent", "forget" (drop the binding) or a status number to refuse with
    {"switch": {"from": "<agent>", "to": ["<agent>", ...]}}     send a Home Agent Switch to the present care-of address
    {"request": "<agent>"}               send a Binding Refresh Request from there
    {"sequence": <number>}               the last sequence number accepted is this
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from typing import Any

from closedloop_nf.runtime.addresses import from_text, to_text
from closedloop_nf.wire import authentication, ipv6, mobility
from closedloop_nf.wire.errors import ParseError
from closedloop_nf.wire.mobility_options import ReplayProtection, find_option

GATEWAY = "2001:db8:a0::ff"


def say(name: str, **fields: Any) -> None:
    print(json.dumps({"name": name, "mono_ns": time.monotonic_ns(), **fields}), flush=True)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", "-6", *arguments], check=True)


class Agent:
    def __init__(self, agents: list[str], home: str, spi: int, key: bytes) -> None:
        self.agents, self.home, self.spi, self.key = agents, from_text(home), spi, key
        self.behaviour: dict[str, str] = dict.fromkeys(agents, "accept")
        self.sequence: int | None = None
        self.care_of: bytes | None = None
        self.tunnel_source = ""
        self.sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.prepare()

    def prepare(self) -> None:
        """Decapsulation, and silence about the Home Address option that this kernel does not know."""
        ip("rule", "add", "pref", "1", "lookup", "local")
        ip("rule", "add", "pref", "0", "ipproto", "ipv6", "lookup", "41")
        ip("rule", "del", "pref", "0", "lookup", "local")
        for agent in self.agents:
            ip("route", "add", f"{agent}/128", "encap", "seg6local", "action", "End.DT6", "table", "254", "dev", "up0", "table", "41")
        rules = "table ip6 t { chain o { type filter hook output priority 0; icmpv6 type parameter-problem drop; }; }"
        subprocess.run(["nft", rules], check=True)

    def bind(self, agent: str, care_of: bytes | None) -> None:
        self.care_of = care_of
        home = f"{to_text(self.home)}/128"
        if care_of is None:
            subprocess.run(["ip", "-6", "route", "del", home], check=False, stderr=subprocess.DEVNULL)
            ip("route", "replace", home, "via", GATEWAY)
        else:
            if self.tunnel_source != agent:
                ip("sr", "tunsrc", "set", agent)
                self.tunnel_source = agent
            segments = ("encap", "seg6", "mode", "encap.red", "segs", to_text(care_of))
            ip("route", "replace", home, *segments, "via", GATEWAY, "dev", "up0")

    def received(self, source: bytes, destination: str, home: bytes | None, data: bytes) -> None:
        message = mobility.parse_mobility(data)
        if not isinstance(message, mobility.BindingUpdate) or destination not in self.agents:
            return
        known_home = source if home is None else home
        result = authentication.verify(data, care_of_address=source, home_address=known_home, key_for_spi=lambda _: self.key)
        genuine = result is authentication.VerifyResult.OK and mobility.checksum_ok(data, known_home, from_text(destination))
        how = self.behaviour[destination]
        fields = {
            "agent": destination,
            "care_of": to_text(source),
            "home_address_option": home is not None,
            "genuine": genuine,
            "behaviour": how,
        }
        say("update", **fields, sequence=message.sequence, lifetime=message.lifetime)
        if how == "silent" or not genuine or known_home != self.home:
            return
        status, sequence = 0, message.sequence
        if self.sequence is not None and not 0 < (sequence - self.sequence) % 65536 < 32768:
            status, sequence = 135, self.sequence
        elif how.isdigit():
            status = int(how)
        else:
            self.sequence = sequence
            self.bind(destination, source if message.lifetime and source != self.home else None)
        replay = find_option(message.options, ReplayProtection)
        lifetime = message.lifetime if status == 0 else 0
        options = () if replay is None else (ReplayProtection(replay.timestamp),)
        self.send(destination, source, mobility.BindingAcknowledgement(status, False, sequence, lifetime, options))

    def send(self, agent: str, care_of: bytes, message: mobility.BindingAcknowledgement | mobility.HomeAgentSwitch) -> None:
        data = authentication.authenticate(message, care_of_address=care_of, home_address=self.home, spi=self.spi, key=self.key)
        self.transmit(agent, care_of, data)

    def transmit(self, agent: str, care_of: bytes, data: bytes) -> None:
        source = from_text(agent)
        routing = None if care_of == self.home else self.home
        sealed = mobility.seal(data, source, self.home)
        packet = ipv6.build_packet(source, care_of, mobility.MOBILITY_HEADER, sealed, routing_home_address=routing)
        self.sender.sendto(packet, (to_text(care_of), 0))

    def command(self, text: bytes) -> None:
        command = json.loads(text)
        for agent, how in command.get("behave", {}).items():
            self.behaviour[agent] = how
        if (switch := command.get("switch")) and self.care_of is not None:
            options = (ReplayProtection(authentication.ntp_timestamp(time.time())),)
            message = mobility.HomeAgentSwitch(tuple(from_text(agent) for agent in switch["to"]), options)
            if switch["from"] == switch["to"][0]:
                self.bind(switch["from"], self.care_of)
            self.send(switch["from"], self.care_of, message)
        self.sequence = command.get("sequence", self.sequence)
        if (agent := command.get("request")) and self.care_of is not None:
            self.transmit(agent, self.care_of, mobility.build_mobility(mobility.BindingRefreshRequest()))
        say("commanded")


def raw(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    return opened


def main() -> None:
    agent = Agent(sys.argv[1:3], sys.argv[3], int(sys.argv[4]), bytes.fromhex(sys.argv[5]))
    plain, behind_options = raw(135), raw(60)
    selector = selectors.DefaultSelector()
    commands = sys.stdin.fileno()
    for source in (plain, behind_options, commands):
        selector.register(source, selectors.EVENT_READ)
    unread = b""
    say("ready")
    while True:
        for key, _ in selector.select():
            if key.fileobj == commands:
                read = os.read(commands, 4096)
                if not read:
                    return
                *lines, unread = (unread + read).split(b"\n")
                for line in lines:
                    agent.command(line)
                continue
            data, ancillary, _, peer = key.fileobj.recvmsg(4096, 256)  # type: ignore[union-attr]  # one of the two sockets
            destination = next(bytes(value[:16]) for _, kind, value in ancillary if kind == socket.IPV6_PKTINFO)
            home = None
            try:
                if key.fileobj is behind_options:
                    options = ipv6.parse_destination_options(data)
                    home, data = options.home_address, data[options.length :]
                agent.received(from_text(peer[0].partition("%")[0]), to_text(destination), home, data)
            except ParseError as error:
                say("malformed", reason=str(error.reason))


main()
