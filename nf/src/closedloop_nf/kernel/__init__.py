"""Everything that touches Linux: netlink, nftables, sysctls, raw sockets.

Importing this package needs neither root nor libnftables; both are first needed by `open()`.

    interface.py   the data plane contract (HomeAgentDataPlane, MobileNodeDataPlane)
    choose.py      which implementation this kernel can run
    sockets.py     raw sockets for the Mobility Header, ICMPv6, whole packets
    neighbor.py    duplicate address detection and announcements on the home link
    links.py       link state, addresses and router advertisements as events

Below them: home_agent.py and mobile_node.py (the data planes) over tunnel.py (seg6.py, ip6tnl.py: IPv6 in IPv6), guard.py and node_guard.py
(nftables.py: what may pass), too_big.py, link_watch.py, node_traffic.py, route_table.py, sysctl.py. rtnetlink is pyroute2 (on_demand.py):
messages.py and encapsulation.py say what is sent, template.py sends it many times, netlink.py is the socket.
"""

from closedloop_nf.kernel.on_demand import load_on_demand

load_on_demand("pyroute2")
