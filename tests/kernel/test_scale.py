"""Ten thousand bindings in one home agent."""

from __future__ import annotations

import time

from closedloop_nf.kernel.home_agent import KernelHomeAgent
from closedloop_nf.kernel.mobile_node import KernelMobileNode

from tests.kernel.bed import CORRESPONDENT, HOME_ADDRESS, Bed, octets

MANY = 10_000


def test_ten_thousand_bindings_are_installed_moved_and_removed(
    bed: Bed, home_agent: KernelHomeAgent, mobile_node: KernelMobileNode
) -> None:
    homes = [octets("2001:db8:a:0:1::")[:12] + number.to_bytes(4, "big") for number in range(MANY)]
    first = octets("2001:db8:c:0:1::")[:12]
    second = octets("2001:db8:c:0:2::")[:12]
    begun = time.monotonic()
    home_agent.install((home, first + home[12:]) for home in homes)
    installed_s = time.monotonic() - begun
    assert bed.ip("ha", "route show proto 75").count("encap ") == MANY + 1
    assert bed.ping("cn", HOME_ADDRESS) == 3
    home_agent.install((home, second + home[12:]) for home in homes)
    assert bed.ip("ha", "route show proto 75").count("2001:db8:c:0:2:") == MANY
    home_agent.remove(homes)
    assert bed.ping("mn", CORRESPONDENT, source=HOME_ADDRESS) == 3
    assert bed.ip("ha", "route show proto 75").count("encap ") == 1
    assert len(bed.ip("ha", "neigh show proxy").splitlines()) == 1
    print(f"{MANY} bindings installed in {installed_s:.1f} s, most of it the kernel's multicast list")
