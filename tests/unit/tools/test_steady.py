"""The steady sender keeps its rate, and the packets that leave it are of one size."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from closedloop_tools.measure.steady import SEGMENT_OCTETS

MBPS = 20.0


def test_it_sends_packets_of_one_size_at_its_rate() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("::1", 0))
        sock.settimeout(10.0)
        argv = [sys.executable, "-m", "closedloop_tools.measure.steady", "send", "::1", str(sock.getsockname()[1]), "--mbps", str(MBPS)]
        sender = subprocess.Popen(argv)
        try:
            sizes = [len(sock.recv(65_536))]
            begin = time.monotonic()
            while time.monotonic() < begin + 2.0:
                sizes.append(len(sock.recv(65_536)))
            took_s = time.monotonic() - begin
        finally:
            sender.terminate()
            sender.wait()
    assert set(sizes) == {SEGMENT_OCTETS}
    assert MBPS / 2 < sum(sizes) * 8 / 1e6 / took_s < 1.2 * MBPS
