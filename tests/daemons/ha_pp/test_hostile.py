"""A hundred thousand hostile packets against the running daemon: nothing is bound, nothing breaks, every one is counted by its reason."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from closedloop_nf.link import messages as link
from closedloop_nf.wire import authentication, ipv6, mobility
from closedloop_nf.wire.mobility_options import NonceIndices, ReplayProtection

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.lab import CARE_OF_2, HOME, KEY, SPI, Daemon, lab_in, octets, until
from tests.daemons.ha_pp.node import Node

PACKETS = 100_000
BURST = 2000
"""Packets between two looks at the counters: fewer than the raw sockets' buffers hold, so that the kernel loses none."""
SEED = 20_261_121
ATTACKER = octets("2001:db8:40::66")
"""A mobile node with a key of its own."""
ATTACKERS_KEY = bytes(range(100, 116))


class Hostility:
    """Makers of hostile packets, given one genuine Binding Update that has been accepted already."""

    def __init__(self, node: Node, genuine: bytes, rng: random.Random) -> None:
        self._node, self._genuine, self._rng = node, genuine, rng
        self._header = ipv6.parse_packet(genuine).payload
        self.makers: list[Callable[[], bytes]] = [
            self.noise,
            self.noise_with_checksum,
            self.truncated,
            self.changed,
            self.replayed,
            self.wrong_key,
            self.others_key,
            self.other_source,
            self.unknown_spi,
            self.unsigned,
            self.unknown_home,
            self.option_wrong,
            self.option_on_other_traffic,
            self.without_option,
            self.nonces,
            self.home_not_unicast,
            self.damaged_checksum,
        ]

    def _packet(self, payload: bytes, *, home: bytes | None = None, source: bytes | None = None) -> bytes:
        return ipv6.build_packet(
            source or self._node.care_of, self._node.agent, mobility.MOBILITY_HEADER, payload, home_address_option=home or self._node.home
        )

    def _signed(self, home: bytes, key: bytes, spi: int = SPI, *options: mobility.MobilityOption) -> bytes:
        stamp = ReplayProtection(authentication.ntp_timestamp(time.time()))
        message = mobility.BindingUpdate(
            self._rng.randrange(1 << 16), True, True, False, False, self._rng.randrange(1 << 16), (*options, stamp)
        )
        data = authentication.authenticate(message, care_of_address=self._node.care_of, home_address=home, spi=spi, key=key)
        return self._packet(mobility.seal(data, home, self._node.agent), home=home)

    def _sealed(self, data: bytes) -> bytes:
        return self._packet(mobility.seal(data, self._node.home, self._node.agent))

    def noise(self) -> bytes:
        return self._packet(self._rng.randbytes(self._rng.randrange(8, 200)))

    def noise_with_checksum(self) -> bytes:
        units = self._rng.randrange(1, 20)
        return self._sealed(bytes((59, units - 1, self._rng.choice((5, self._rng.randrange(256))))) + self._rng.randbytes(units * 8 - 3))

    def truncated(self) -> bytes:
        return self._sealed(self._header[: self._rng.randrange(8, len(self._header))])

    def changed(self) -> bytes:
        data = bytearray(self._header)
        data[self._rng.randrange(6, len(data))] ^= self._rng.randrange(1, 256)
        return self._sealed(bytes(data))

    def replayed(self) -> bytes:
        return self._genuine

    def wrong_key(self) -> bytes:
        return self._signed(self._node.home, self._rng.randbytes(16))

    def others_key(self) -> bytes:
        return self._signed(self._node.home, ATTACKERS_KEY, SPI + 1)

    def other_source(self) -> bytes:
        return self._packet(self._header, source=octets(CARE_OF_2))

    def unknown_spi(self) -> bytes:
        return self._signed(self._node.home, KEY, self._rng.randrange(5000, 1 << 32))

    def unsigned(self) -> bytes:
        message = mobility.BindingUpdate(self._rng.randrange(1 << 16), True, True, False, False, 100)
        return self._sealed(mobility.build_mobility(message))

    def unknown_home(self) -> bytes:
        return self._signed(self._rng.randbytes(16), KEY)

    def option_wrong(self) -> bytes:
        """A destination options header whose Home Address option contradicts its length, stands twice, or is cut off."""
        option = bytes((0xC9, 16)) + self._node.home
        headers = (
            bytes((135, 2, 1, 2, 0, 0, 0xC9, 15)) + self._node.home,
            bytes((135, 4, 0, 0)) + option + option,
            bytes((135, 9, 1, 2, 0, 0)) + option,
            bytes((135, 2, 1, 2, 0, 0, 0xC9, 200)) + self._node.home,
            bytes((43, 2, 1, 2, 0, 0)) + option,
        )
        return ipv6.build_packet(
            self._node.care_of, self._node.agent, ipv6.DESTINATION_OPTIONS, self._rng.choice(headers) + self._header[:8]
        )

    def option_on_other_traffic(self) -> bytes:
        return ipv6.build_packet(octets(CARE_OF_2), self._node.agent, 17, self._rng.randbytes(16), home_address_option=self._node.home)

    def without_option(self) -> bytes:
        return ipv6.build_packet(
            self._node.care_of,
            self._node.agent,
            mobility.MOBILITY_HEADER,
            mobility.seal(self._header, self._node.care_of, self._node.agent),
        )

    def nonces(self) -> bytes:
        return self._signed(self._node.home, KEY, SPI, NonceIndices(1, 1))

    def home_not_unicast(self) -> bytes:
        home = self._rng.choice((octets("ff02::1"), octets("fe80::1"), bytes(15) + b"\x01"))
        return self._signed(home, KEY)

    def damaged_checksum(self) -> bytes:
        return self._packet(self._header[:4] + bytes((self._header[4] ^ 0x55, self._header[5])) + self._header[6:])


COUNTERS = ("ha_pp_messages_discarded_total", "ha_pp_binding_updates_rejected_total")


def counted(metrics: dict[str, float]) -> float:
    """Messages dropped or refused."""
    return sum(value for name, value in metrics.items() if name.startswith(COUNTERS))


async def test_hostile_packets_bind_nothing_break_nothing_and_are_counted_by_reason(tmp_path: Path) -> None:
    with lab_in(tmp_path) as lab:
        backend = await Backend(lab).listen()
        backend.keys.append(link.SecurityAssociation(ATTACKER, SPI + 1, ATTACKERS_KEY))
        daemon = Daemon(lab).start()
        await until("the lease is held", lambda: daemon.log.exists() and daemon.logged("lease_held"))
        node = Node(lab)
        genuine = node.update()
        node.send(genuine)
        assert (await node.acknowledged()).status == 0
        bindings, registers = dict(backend.bindings), backend.registers
        installed = [line for line in lab.kernel_state().splitlines() if HOME in line]
        node.deafen()

        rng = random.Random(SEED)
        hostility = Hostility(node, genuine, rng)
        before = counted(await daemon.metrics())
        cpu, sent = daemon.cpu_seconds(), 0
        while sent < PACKETS:
            for maker in rng.choices(hostility.makers, k=BURST):
                node.send(maker())
            sent += BURST
            await asyncio.sleep(0)
            deadline = time.monotonic() + 60
            while counted(metrics := await daemon.metrics()) - before < sent:
                daemon.alive()
                assert time.monotonic() < deadline, f"{sent} sent, {counted(metrics) - before} counted, seed {SEED}: {metrics}"
        assert counted(metrics) - before == sent
        cpu = (daemon.cpu_seconds() - cpu) / sent * 1e6
        reasons = {name: int(value) for name, value in sorted(metrics.items()) if "reason=" in name}
        print(f"{sent} hostile packets, {cpu:.0f} us CPU each: {reasons}")

        assert len(reasons) >= 15
        assert backend.bindings == bindings
        assert backend.registers == registers
        assert [line for line in lab.kernel_state().splitlines() if HOME in line] == installed
        assert metrics["ha_pp_bindings"] == 1
        assert len(backend.said(link.Hello)) == 1, "one session all along"
        assert daemon.logged("lease_lapsed") == []
        assert [line for line in daemon.logged("error") if line] == []

        heard = Node(lab)
        heard.sequence = node.sequence
        assert (await heard.register(care_of=octets(CARE_OF_2))).status == 0
        assert await lab.pings(HOME)
        assert await daemon.stop() == 0
        heard.close()
        node.close()
        await backend.close()
