"""The data plane contract: what a home agent and a mobile node ask of the kernel.

Two implementations exist, `seg6` and `ip6tnl` (choose.py picks). All methods are synchronous, short and called from one thread.
Addresses are 16 octets. Every method may raise `errors.KernelError`.

Order of calls on the home agent:

    plane = choose_home_agent_data_plane(home_interface="home0", uplink_interface="up0")
    plane.reset()                      # crash-only start: what a killed predecessor left is gone, forwarding is shut
    plane.open()                       # guard in place, still nothing is forwarded
    plane.set_home_agent_address(...)  # decapsulation for this address
    plane.install([(home_address, care_of_address), ...])
    plane.renew_lease(seconds)         # from here the kernel forwards, for that long
    ...
    plane.close()                      # clean stop: everything of ours is gone
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol


class HomeAgentDataPlane(Protocol):
    """The tunnel end of a home agent, with its lease enforced by the kernel (docs/architecture.md, "Who owns a home address")."""

    @property
    def name(self) -> str:
        """`seg6` or `ip6tnl`; goes to the log, to Hello and to /healthz."""

    def reset(self) -> None:
        """Remove what a killed predecessor left: routes of our protocol number, rules, proxy neighbours, the moving home agent address,
        nftables tables. Forwarding is shut before anything is removed. Harmless on a clean namespace."""

    def open(self) -> None:
        """Put guard, rules and sysctls in place. Nothing is forwarded until `renew_lease`."""

    def set_home_agent_address(self, address: bytes, *, on_home_link: bool) -> None:
        """Serve tunnels at `address`: it becomes the tunnel source and packets to it are decapsulated.

        on_home_link: the address moves with the lease (`shared`): it is added as /128, without duplicate address detection, to the home
        interface; neighbour advertisements for it leave only while the lease lives. Otherwise it is added to the uplink interface where
        that lacks it. A previous address is cleared first. Announcing it is the caller's (`neighbor.announce`).
        """

    def clear_home_agent_address(self) -> None:
        """No decapsulation any more; the address is removed where `set_home_agent_address` added it."""

    def install(self, bindings: Iterable[tuple[bytes, bytes]]) -> None:
        """Serve (home address, care-of address) pairs: encapsulate to, accept from, answer neighbour solicitations for.

        An upsert: the previous care-of address of a home address is no longer accepted from. One call with many pairs is the fast way
        (10 000 well under a second).
        """

    def defend(self, addresses: Iterable[bytes]) -> None:
        """Answer neighbour solicitations for these without a tunnel: link-local addresses of mobile nodes whose registration has the L bit
        (RFC 6275 section 10.4.1). `remove` ends it."""

    def remove(self, home_addresses: Iterable[bytes]) -> None:
        """Stop serving these; unknown ones are no error."""

    def linger(self, home_addresses: Iterable[bytes]) -> None:
        """Answer no neighbour solicitations for these any more, but go on encapsulating to and accepting from them, until `remove`.

        Their packets that are under way when another home agent takes over are not lost. `install` takes them up again.
        """

    def renew_lease(self, seconds: float) -> None:
        """Let the kernel forward for `seconds` from now. Shortens as well as extends. <= 0 revokes."""

    def revoke_lease(self) -> None:
        """Stop forwarding and proxy neighbour advertisements before this returns."""

    def readers(self) -> Mapping[int, Callable[[], None]]:
        """Descriptors the shell watches after `open()` (loop.add_reader) and what to call when one is readable: relay of Packet Too Big,
        repair of what the kernel forgot while an interface was down (that one may raise KernelError)."""

    def stats(self) -> dict[str, int]:
        """Counters, names fit for metrics labels: dropped reverse tunnelled packets by reason, relayed Packet Too Big, ..."""

    def close(self) -> None:
        """Revoke, then remove everything of ours. Idempotent."""


class MobileNodeDataPlane(Protocol):
    """The tunnel end of a mobile node: one home address, at most one binding in force."""

    @property
    def name(self) -> str:
        """`seg6` or `ip6tnl`."""

    def reset(self) -> None:
        """Remove what a killed predecessor left (routes and rules of ours, nftables table). The home address stays where it is."""

    def open(self) -> None:
        """Put the packet filter and rules in place."""

    def expect(self, home_address: bytes, care_of_address: bytes, home_agent: bytes, interface: str) -> None:
        """Accept tunnelled packets home agent -> care-of address from now on, beside what `bind` accepts.

        Called when the Binding Update is sent: the home agent's first tunnelled packets may arrive before its acknowledgement.
        """

    def bind(self, home_address: bytes, care_of_address: bytes, home_agent: bytes, interface: str) -> None:
        """The binding is in force: traffic from the home address leaves through the tunnel (outer source the care-of address, by
        `interface`), and tunnelled packets are accepted from this home agent at this care-of address, for some seconds also from those
        before it (they forward what is under way). Replaces the previous one without a gap."""

    def unbind(self) -> None:
        """No tunnel: traffic from the home address while away is unreachable (it never leaves with a topologically wrong source)."""

    def at_home(self, home_address: bytes, prefix_length: int, interface: str, router: bytes | None) -> None:
        """At home: the address sits on `interface` with its prefix, traffic leaves by `router` (None: by the kernel's own default route).
        Ends a binding."""

    def away(self, home_address: bytes) -> None:
        """Away from home: the address sits on lo as /128, so no visited link sees it, and connections survive."""

    def flush_care_of_addresses(self, interface: str, keep: Iterable[bytes], router: bytes | None = None) -> list[bytes]:
        """Remove what the router advertisements of a link that was left made on `interface`: SLAAC addresses except `keep` and the home
        address, default routes except by `router`, on-link routes of prefixes without address. Returns the addresses removed.

        Carrier loss leaves all of it in place, and the kernel would go on sending by the first router until that is found unreachable.
        """

    def readers(self) -> Mapping[int, Callable[[], None]]:
        """As for the home agent."""

    def stats(self) -> dict[str, int]:
        """Counters."""

    def close(self) -> None:
        """Remove everything of ours but the home address. Idempotent."""
