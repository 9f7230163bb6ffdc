"""Fewer, larger steps for the kernel: one nftables transaction and one netlink batch for many bindings."""

from __future__ import annotations

from collections.abc import Iterable

from closedloop_nf.ha_pp.events import Action, Announce, Install, SendIcmpv6, SendLink, SendMobility

_PASSED = (Announce, SendIcmpv6, SendLink, SendMobility)
"""What an Install may overtake: it then happens in a kernel that holds more than it would have, never less."""


def coalesce(actions: Iterable[Action]) -> list[Action]:
    """The same actions with every Install, and every Announce, moved up into the one before it where only `_PASSED` lie between.

    The kernel ends in the same state, and what leaves after an Install still does: an acknowledgement never overtakes its tunnel.
    """
    merged: list[Action] = []
    install: Install | None = None
    announce: Announce | None = None
    for action in actions:
        if isinstance(action, Install):
            if install is not None:
                install.rows.extend(action.rows)
                continue
            action = install = Install(list(action.rows))
        elif isinstance(action, Announce):
            if announce is not None:
                announce.addresses.extend(action.addresses)
                continue
            action = announce = Announce(list(action.addresses))
        elif not isinstance(action, _PASSED):
            install = announce = None
        merged.append(action)
    return merged
