"""A home agent process reduced to its data plane, for tests that kill or stop it: python agent.py LEASE_S DATA_PLANE.

Serves HOME_AGENT and one binding, listens on a health port like the real one, renews its lease every 20 ms. Prints `serving`, or the
error's class when it is refused.
"""

from __future__ import annotations

import socket
import sys
import time

from closedloop_nf.kernel.choose import Kind, choose_home_agent_data_plane
from closedloop_nf.kernel.errors import KernelError

HEALTH_PORT = 8080


def main() -> None:
    lease_s = float(sys.argv[1])
    kind: Kind = "ip6tnl" if sys.argv[2] == "ip6tnl" else "seg6"
    plane = choose_home_agent_data_plane("home", "region", kind)
    try:
        plane.reset()
        plane.open()
    except KernelError as error:
        print(type(error).__name__, flush=True)
        return
    health = socket.create_server(("::", HEALTH_PORT), family=socket.AF_INET6, backlog=4096)
    plane.set_home_agent_address(_octets("2001:db8:a::a"), on_home_link=True)
    plane.install([(_octets("2001:db8:a::1"), _octets("2001:db8:c::1"))])
    plane.renew_lease(lease_s)
    print("serving", flush=True)
    with health:
        while True:
            time.sleep(0.02)
            plane.renew_lease(lease_s)


def _octets(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


if __name__ == "__main__":
    main()
