"""UDP at a steady rate, and where it goes to: `python -m closedloop_tools.measure.steady send|receive ADDRESS PORT [--mbps RATE]`.

The kernel cuts a buffer into packets on the last link (UDP_SEGMENT), so that hundreds of Mbit/s take a few per cent of a core: what is lost
is not lost because the sender took the processor from those who forward.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import time

SEGMENT_OCTETS = 1344
"""Payload of a packet: with the tunnel's header it fits 1500 octets."""
_SEGMENTS = 40
_LATE_S = 0.005
"""What could not be sent for longer is left out: a burst that makes up for it would fill the queues."""
_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104


def send(address: str, port: int, mbps: float) -> None:
    """For ever."""
    buffer = bytes(SEGMENT_OCTETS * _SEGMENTS)
    interval_s = len(buffer) * 8 / (mbps * 1e6)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(_SOL_UDP, _UDP_SEGMENT, SEGMENT_OCTETS)
        due = time.monotonic()
        while True:
            with contextlib.suppress(OSError):  # an error that the network told, as for any application
                sock.sendto(buffer, (address, port))
            due = max(due + interval_s, time.monotonic() - _LATE_S)
            time.sleep(max(0.0, due - time.monotonic()))


def receive(address: str, port: int) -> None:
    """For ever; what comes is dropped."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        sock.bind((address, port))
        buffer = bytearray(65_536)
        while True:
            sock.recv_into(buffer)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.measure.steady", description="UDP at a steady rate.")
    parser.add_argument("verb", choices=("send", "receive"))
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--mbps", type=float, default=100.0)
    options = parser.parse_args()
    if options.verb == "send":
        send(options.address, options.port, options.mbps)
    else:
        receive(options.address, options.port)


if __name__ == "__main__":
    main()
